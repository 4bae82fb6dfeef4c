"""What a program imports to have tasks run here or at the edge: ``from offload import connect``.

Joins the decision engine with its two sides, the link's estimate and a policy. Beyond
:mod:`offload`, :mod:`edge_server` and NumPy nothing is loaded until it is used.
"""

from client_library.connecting import ClientConfig, connect
from client_library.offloader import Offloader
from client_library.report import TaskReport

__all__ = ["ClientConfig", "Offloader", "TaskReport", "connect"]
