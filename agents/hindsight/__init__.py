"""The least cost of an episode, its whole future known."""
