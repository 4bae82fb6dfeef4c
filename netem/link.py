"""Opening, changing and closing an emulated link."""

from __future__ import annotations

import atexit
import os
import threading

from netem.backends import BACKENDS, Backend
from netem.layout import Layout, claim, release
from netem.link_stats import LinkStats
from netem.loopback import LoopbackLayout
from netem.namespaces import Endpoint
from netem.qdisc import check_direction
from netem.termination import end_on_sigterm, let_sigterm_be
from offload.errors import BackendError, ConfigError, UnknownNameError
from offload.types import LinkProfile


def open_link(
    profile: LinkProfile,
    backend: str = "auto",
    *,
    seed: int | None = None,
    need_packets: bool = False,
) -> Link:
    """Open an emulated link, shaped to ``profile``.

    What an earlier owner left behind (killed before it could close) is cleared away first.

    Args:
        profile: what to set.
        backend: a backend's name, or ``auto``: the first of :data:`netem.backends.BACKENDS` that
            can run here; :attr:`Link.reason` says which and why.
        seed: where losses and jitter are drawn from, so that the same packets meet the same fates
            in another link; None: drawn anew. Only backend ``tun`` takes one.
        need_packets: ``auto`` takes only what carries packets, so never ``proxy``.

    Raises:
        UnknownNameError: no such backend.
        ConfigError: the profile asks for what netem or the backend cannot do, or for a seed where
            the backend takes none.
        BackendError: no backend can run here, with the reason and the command that would fix it;
            or the one that should failed to start.
        VerifyError: the profile read back different from what was set.
    """
    for direction in (profile.uplink, profile.downlink):
        check_direction(direction)
    chosen, reason = choose_backend(backend, need_packets=need_packets)
    layout = claim() if chosen.carries_packets else LoopbackLayout()
    link = Link(layout, chosen(layout), reason)
    try:
        if seed is not None:
            link._router.use_seed(seed)
        link._start(profile)
    except BaseException:  # also Ctrl-C in the middle of a boot: nothing may be left behind
        link.close()
        raise
    return link


def choose_backend(name: str, *, need_packets: bool = False) -> tuple[type[Backend], str]:
    """The backend of that name, or the first that runs, and one line why.

    Args:
        need_packets: leave out of ``auto`` what carries no packets.

    Raises:
        UnknownNameError, BackendError: as :func:`open_link`.
    """
    if name != "auto":
        known = {backend.name: backend for backend in BACKENDS}
        if name not in known:
            raise UnknownNameError("backend", name, [*known, "auto"])
        found = known[name].probe()
        if not found.runs:
            raise BackendError(_refusal(name, found.reason, found.remedy))
        return known[name], f"{name}: asked for by name; {found.reason}"
    refusals: list[str] = []
    why_not: list[str] = []
    for candidate in BACKENDS:
        if need_packets and not candidate.carries_packets:
            refusals.append(f"{candidate.name!r} carries no packets: ask for it by name")
            continue
        found = candidate.probe()
        if found.runs:
            earlier = f"; before it, {'; '.join(why_not)}" if why_not else ""
            return candidate, f"{candidate.name}: {found.reason}{earlier}"
        why_not.append(f"{candidate.name} cannot run: {found.reason}")
        refusals.append(_refusal(candidate.name, found.reason, found.remedy))
    raise BackendError("no network backend can run here. " + ". ".join(refusals))


def _refusal(name: str, reason: str, remedy: str) -> str:
    way_out = f"; to fix it: {remedy}" if remedy else ""
    return f"backend {name!r} cannot run: {reason}{way_out}"


class Link:
    """An open emulated link; a context manager. Made by :func:`open_link`.

    Safe to use from several threads. Left open, it is closed when the interpreter exits; when its
    process is killed, the next :func:`open_link` clears it away.

    Attributes:
        device: the device's end.
        edge: the edge's end.
        backend: name of the backend in use.
        max_rate_bps: highest rate that the backend carries faithfully.
        carries_packets: False: only TCP connections through :meth:`reach` are shaped, nothing else.
        reason: one line: why this backend, and why those before it in the order could not run.
    """

    def __init__(self, layout: Layout | LoopbackLayout, backend: Backend, reason: str) -> None:
        self.device, self.edge = _ends(layout)
        self.carries_packets: bool = backend.carries_packets
        self.backend: str = backend.name
        self.max_rate_bps: float = backend.max_rate_bps
        self.reason = reason
        self._layout = layout
        self._router = backend
        self._profile: LinkProfile | None = None
        self._lock = threading.RLock()
        self._closed = False
        self._owner_pid = os.getpid()
        atexit.register(self.close)
        end_on_sigterm(self)

    @property
    def profile(self) -> LinkProfile:
        """The profile that is set, as read back and compared.

        Raises:
            BackendError: the last :meth:`apply` failed, so what is set is unknown.
        """
        if self._profile is None:
            raise BackendError("what is set is unknown: the last apply() failed")
        return self._profile

    def apply(self, profile: LinkProfile) -> None:
        """Change the link while it carries traffic; set, read back and compared.

        Packets on their way keep their old delay; a queue survives a change of rate.

        Raises:
            ConfigError: the profile asks for what the backend cannot do; nothing was changed.
            VerifyError: read back different from what was set.
            BackendError: the link is closed or its router gone.
        """
        for direction in (profile.uplink, profile.downlink):
            check_direction(direction)
        with self._lock:
            self._check_open()
            previous, self._profile = self._profile, None
            try:
                self._router.apply(profile)
            except ConfigError:  # refused before anything was changed
                self._profile = previous
                raise
            self._profile = profile

    @property
    def limits(self) -> tuple[str, ...]:
        """What of the profile, or of a network as such, is not carried out here; a line each."""
        return self._router.limits(self.profile)

    def reach(self, port: int) -> tuple[str, int]:
        """Where the device connects to, to reach what listens at ``port`` of the edge.

        The same address and port on a backend that carries packets; a forwarded port on another.
        Servers bind to ``link.edge.address``; connections made to that instead of here may pass
        the link by.

        Raises:
            ConfigError: no port number.
            BackendError: the link is closed or its router gone.
        """
        if not 1 <= port <= 65535:
            raise ConfigError(f"port is {port}; it must lie from 1 to 65535")
        with self._lock:
            self._check_open()
            return self._router.reach(port)

    def stats(self) -> LinkStats:
        """Counters of each direction from the router's own qdiscs."""
        with self._lock:
            self._check_open()
            return self._router.stats()

    def close(self) -> None:
        """Stop the router, end what still runs in the namespaces, remove them. Idempotent.

        In a forked child it does nothing: the link is its parent's.
        """
        if os.getpid() != self._owner_pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._router.close()
            finally:
                _release(self._layout)
                atexit.unregister(self.close)
                let_sigterm_be(self)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _start(self, profile: LinkProfile) -> None:
        self._router.start()
        self.apply(profile)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the link is closed")


def _ends(layout: Layout | LoopbackLayout) -> tuple[Endpoint, Endpoint]:
    if isinstance(layout, LoopbackLayout):
        return layout.device, layout.edge
    return layout.device.endpoint, layout.edge.endpoint


def _release(layout: Layout | LoopbackLayout) -> None:
    if isinstance(layout, LoopbackLayout):
        layout.release()
    else:
        release(layout)
