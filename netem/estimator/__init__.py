"""Estimates of a link from samples: weighted by age, with uncertainty; no socket in here."""

from netem.estimator.estimate import Estimated, LinkEstimate
from netem.estimator.tracker import LinkTracker

__all__ = ["Estimated", "LinkEstimate", "LinkTracker"]
