"""Rivals of the learned policies: tuned or trained on the same kind of data, in the same amount."""

DECISIONS = 3_000_000
"""Decisions that tuning or training a rival may play through: as many as the learned
policies that ship are trained on."""
