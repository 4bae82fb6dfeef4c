"""Simulated against measured: what the models say of the tasks that a live run has run."""
