"""The network backends, in the order ``auto`` tries them."""

from netem.backends.base import Backend, Capability
from netem.backends.proxy import ProxyBackend
from netem.backends.tc import TcBackend
from netem.backends.tun import TunBackend
from netem.backends.uml import UmlBackend

BACKENDS: tuple[type[Backend], ...] = (TcBackend, UmlBackend, TunBackend, ProxyBackend)
"""Every backend there is, preferred first: the kernel's own qdiscs before an emulated kernel's,
then an emulator of ours, and last what carries no packets."""

__all__ = [
    "BACKENDS",
    "Backend",
    "Capability",
    "ProxyBackend",
    "TcBackend",
    "TunBackend",
    "UmlBackend",
]
