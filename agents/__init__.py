"""Policies, their training, and their evaluation in simulation."""
