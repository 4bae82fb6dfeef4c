"""Conformance: one set of checks for every backend, each measuring a link against what was set.

from netem.conformance import QUICK, run

for check in run("uml", QUICK).checks:
    print(check.trait, check.measured, check.passed)
"""

from netem.conformance.check import Check
from netem.conformance.suite import FULL, QUICK, Outcome, Plan, run

__all__ = ["FULL", "QUICK", "Check", "Outcome", "Plan", "run"]
