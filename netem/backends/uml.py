"""Backend ``uml``: real kernel netem in a User-Mode Linux router, where the host's kernel has none.

The guest is one small process: Debian's User-Mode Linux kernel with sch_netem, the host's own root
file system mounted read-only (hostfs) for its shell, ip and tc, and two taps. It routes between
them; its console ends in ``tc -batch -``, through which a change takes effect within a millisecond.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from netem.backends.base import (
    Capability,
    PacketBackend,
    closed_tun_device,
    missing_rights,
    missing_tools,
    refuse_seed,
)
from netem.backends.tc import TOOLS
from netem.backends.uml_console import UmlConsole
from netem.backends.uml_guest import init_script, kernel_version, module_files, save_modes
from netem.layout import TAP_QUEUE_PACKETS, Layout, configure_end
from netem.link_stats import LinkStats
from netem.namespaces import add_namespace, namespace_path, run_tool
from netem.shaper import Shaper
from offload.errors import BackendError
from offload.types import LinkProfile

BOOT_TIMEOUT_S = 20.0
_UML_TOOLS = {
    "linux.uml": "user-mode-linux",
    "insmod": "kmod",
    "mount": "mount",
    "stty": "coreutils",
    **TOOLS,
}
_MEMORY = "64M"
_AVX_OFF = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-XSAVE,-XSAVEC"
_INSTALL = "apt-get install user-mode-linux iproute2 ethtool kmod"


class UmlBackend(PacketBackend):
    """A User-Mode Linux kernel routes and shapes between two taps."""

    name: ClassVar[str] = "uml"
    summary: ClassVar[str] = "the same qdiscs in a User-Mode Linux router (no kernel module needed)"
    # Above this the emulated kernel carries less than it is set to (400 Mbit/s gives 304).
    max_rate_bps: ClassVar[float] = 200e6

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._process: subprocess.Popen[bytes] | None = None
        self._console: UmlConsole | None = None
        # The parent-death signal follows the thread that forked, so a thread is kept for it.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="uml")
        self._shaper = Shaper(self._run_tc, uplink_device="vec1", downlink_device="vec0")

    @classmethod
    def probe(cls) -> Capability:
        """Look for the program and its modules, and make a tap in a scratch namespace."""
        if platform.machine() != "x86_64":
            return Capability(False, f"User-Mode Linux needs x86_64, this is {platform.machine()}")
        refusal = missing_tools(_UML_TOOLS)
        if refusal is not None:
            return refusal
        try:
            module_files()
        except BackendError as error:
            return Capability(False, str(error), _INSTALL)
        refusal = missing_rights() or closed_tun_device()
        if refusal is not None:
            return refusal
        tap = ["ip", "tuntap", "add", "dev", "scratch0", "mode", "tap", "vnet_hdr"]
        try:
            run_tool(["unshare", "--net", "--", *tap])
        except BackendError as error:
            return Capability(False, f"cannot make a tap: {error}", "modprobe tun")
        saves = "" if save_modes()[0] == "xsave" else "; AMX processor: guest without AVX"
        return Capability(True, f"User-Mode Linux {kernel_version()} and taps are here{saves}")

    def use_seed(self, seed: int) -> None:
        """Refused: kernel netem draws its own numbers."""
        refuse_seed(self.name)

    def start(self) -> None:
        """Make the namespaces and the taps, boot the router, hand each end its tap."""
        layout = self._layout
        wires = (layout.device, layout.edge)
        for name in layout.namespaces:
            add_namespace(name)
        router = layout.router_namespace
        taps = [
            f"tuntap add dev {wire.endpoint.interface} mode tap vnet_hdr\n"
            f"link set {wire.endpoint.interface} txqueuelen {TAP_QUEUE_PACKETS}\n"
            for wire in wires
        ]
        run_tool(["ip", "-n", router, "-batch", "-"], stdin="".join(taps))
        self._boot()
        moves = [
            f"link set {wire.endpoint.interface} netns {wire.endpoint.namespace}\n"
            for wire in wires
        ]
        run_tool(["ip", "-n", router, "-batch", "-"], stdin="".join(moves))
        configure_end(layout.device, layout.edge)
        configure_end(layout.edge, layout.device)

    def apply(self, profile: LinkProfile) -> None:
        """Set a profile, read it back, compare."""
        self._refuse_too_fast(profile)
        self._shaper.apply(profile)

    def stats(self) -> LinkStats:
        """Counters of both directions."""
        return self._shaper.stats()

    def close(self) -> None:
        """End the router and its helper processes. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()  # the launcher's: it kills the guest and its helpers
            process.wait()
        if self._console is not None:
            self._console.close()
            self._console = None
        self._spawner.shutdown()

    def _boot(self) -> None:
        """Boot, and again if it failed; a processor with AMX needs another way than one without."""
        failures = []
        for attempt, save in enumerate(save_modes()):
            try:
                self._spawn(attempt, save).wait_for("ROUTER READY", BOOT_TIMEOUT_S)
                self._keep_awake()
                return
            except BackendError as error:
                failures.append(f"[{save}] {error}")
                self._stop_failed_boot()
        raise BackendError("User-Mode Linux did not boot:\n" + "\n".join(failures))

    def _spawn(self, attempt: int, save: str) -> UmlConsole:
        layout = self._layout
        init = layout.directory / "init"
        init.write_text(init_script(layout))
        init.chmod(0o755)
        # In a user namespace the host's files are nobody's, and so would a setuid program run.
        mount = layout.directory / "mount"
        mount.write_bytes(Path(shutil.which("mount") or "/bin/mount").read_bytes())
        mount.chmod(0o755)
        guest_reads, we_write = os.pipe()
        we_read, guest_writes = os.pipe()
        self._console = console = UmlConsole(we_read, we_write, self._alive)
        command = [
            "linux.uml",
            f"mem={_MEMORY}",
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
            f"uml_dir={layout.directory}/",
            f"umid=boot{attempt}",
            *("con=null", f"con0=fd:{guest_reads},fd:{guest_writes}"),
        ]
        if save == "fxsave":
            # Wider registers would not survive in the guest, so its C library leaves them alone.
            command.append(f"GLIBC_TUNABLES={_AVX_OFF}")
        for index, wire in enumerate((layout.device, layout.edge)):
            command.append(
                f"vec{index}:transport=tap,ifname={wire.endpoint.interface},mac={wire.router_mac}"
            )
        launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("uml_launch.py"))]
        namespace = str(namespace_path(layout.router_namespace))
        argv = [*launcher, namespace, str(os.getpid()), save, "--", *command]
        try:
            self._process = self._spawner.submit(
                subprocess.Popen,
                argv,
                stdin=subprocess.DEVNULL,
                stdout=guest_writes,
                stderr=guest_writes,
                pass_fds=(guest_reads, guest_writes),
                start_new_session=True,  # a Ctrl-C meant for us must not end it before we do
            ).result()
        finally:
            os.close(guest_reads)
            os.close(guest_writes)
        return console

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _keep_awake(self) -> None:
        """Have the launcher look after packets that the guest was signalled too early for."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def _stop_failed_boot(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait()
        if self._console is not None:
            self._console.close()
            self._console = None

    def _run_tc(self, lines: list[str]) -> list[Any]:
        if self._console is None:
            raise BackendError("the User-Mode Linux router is not running")
        return self._console.converse(lines)
