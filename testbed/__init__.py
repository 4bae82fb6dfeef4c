"""A device, a link and an edge server, all real: what a live evaluation runs on.

Joins :mod:`netem`, :mod:`edge_server` and the tasks; knows nothing of policies.
"""

from testbed.testbed import Testbed, TestbedConfig

__all__ = ["Testbed", "TestbedConfig"]
