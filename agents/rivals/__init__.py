"""Rivals of the learned policies: tuned or trained on the same kind of data, in the same amount."""

DECISIONS = 2_000_000
"""Decisions that tuning or training a rival may play through: as many as PPO trains on."""
