"""``connect``: a server's address in, an :class:`client_library.offloader.Offloader` out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from client_library.known_link import KnownLink
from client_library.offloader import Offloader
from client_library.own_traffic import OwnTraffic
from client_library.predictions import Predictions
from client_library.sides import Sides
from edge_server.compression_choice import CompressionChoice
from edge_server.pool import EdgePool
from edge_server.pool_config import PoolConfig
from edge_server.security.keys import ClientKeys
from offload.energy_model import get_radio
from offload.engine import OnRecord
from offload.errors import UnknownNameError
from offload.interfaces import Policy
from offload.local_executor import LocalExecutor
from offload.local_worker import run_project_task
from offload.task_function import RunTask
from offload.types import Objective, Placement

POLICIES = ("ppo", "dqn", "maui-measured", "always-local", "always-edge")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What the program's device is like, and what it wants.

    Attributes:
        policy: places the tasks: one of :data:`POLICIES`, or an object of your own.
        objective: what the policy minimises.
        slowdown: times slower than the server's the device's CPU is taken to be until tasks have
            run on both. Above 1, tasks here are really held back to that speed.
        radio: the device's, for the energy model.
        battery: charge left, 0 to 1, for the objective ``mixed``.
        congestion_control: of the connections; the link model knows cubic and bbr.
        compress: payloads are compressed where that pays on the link.
        pool: the connections.
    """

    policy: str | Policy = "ppo"
    objective: Objective = Objective.MIXED
    slowdown: float = 1.0
    radio: str = "wifi"
    battery: float = 1.0
    congestion_control: Literal["cubic", "bbr"] = "cubic"
    compress: bool = True
    pool: PoolConfig = field(default_factory=PoolConfig)


def connect(
    host: str = "127.0.0.1",
    port: int = 5555,
    *,
    run_task: RunTask | None = None,
    keys: ClientKeys | None = None,
    config: ClientConfig | None = None,
    on_record: OnRecord | None = None,
) -> Offloader:
    """Have tasks run on this device or on the server at ``host:port``, whichever is better.

    It returns at once; whether the server answers shows in the reports.

    Args:
        host, port: the edge server's.
        run_task: what runs a task on this device, ``(kind, payload) -> bytes``: a top-level
            function of a module other than ``__main__``, the same that the server was started with.
            It is called in a child process. None: the project's own tasks.
        keys: for a server that checks them.
        config: all else.
        on_record: called with the record of each task, e.g. for metrics.

    Raises:
        ConfigError: a setting is wrong; the message says which would be right.
    """
    config = config or ClientConfig()
    policy = _policy(config)
    radio = get_radio(config.radio)
    local = LocalExecutor(config.slowdown, run_task=run_task or run_project_task)
    try:
        traffic = OwnTraffic(config.congestion_control)
        link = KnownLink(traffic)
        compressor = None
        if config.compress:
            compressor = CompressionChoice(link.measured, config.congestion_control)
        edge = EdgePool(
            host,
            port,
            congestion_control=config.congestion_control,
            observer=traffic,
            keys=keys,
            compressor=compressor,
            config=config.pool,
        )
    except BaseException:
        local.close()
        raise
    return Offloader(
        policy,
        Sides(local, edge, link, radio, config.battery, config.congestion_control),
        Predictions(config.slowdown),
        Objective(config.objective),
        on_record,
        notes=(compressor.missing,) if compressor is not None and compressor.missing else (),
    )


def _policy(config: ClientConfig) -> Policy:
    """The policy of that name; what it needs is imported now."""
    name = config.policy
    if not isinstance(name, str):
        return name
    objective = Objective(config.objective)
    if name in ("ppo", "dqn"):
        from agents.bundle import BundlePolicy, load_bundle
        from agents.found_bundles import PRETRAINED

        return BundlePolicy(load_bundle(PRETRAINED / f"{name}-{objective}"))
    if name == "maui-measured":
        from agents.maui_policy import MauiPolicy

        return MauiPolicy(objective, sees_truth=False)
    if name in ("always-local", "always-edge"):
        from agents.fixed import FixedPolicy

        return FixedPolicy(Placement.EDGE if name == "always-edge" else Placement.LOCAL)
    raise UnknownNameError("policy", name, POLICIES)
