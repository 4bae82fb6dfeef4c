"""The packet backends, in the order ``auto`` tries them."""

from netem.backends.base import Backend, Capability
from netem.backends.tc import TcBackend
from netem.backends.uml import UmlBackend

BACKENDS: tuple[type[Backend], ...] = (TcBackend, UmlBackend)
"""Every backend there is, preferred first: the kernel's own qdiscs before an emulated kernel's."""

__all__ = ["BACKENDS", "Backend", "Capability", "TcBackend", "UmlBackend"]
