"""Policies that drive the decision engine, each through the same link at the same moments."""
