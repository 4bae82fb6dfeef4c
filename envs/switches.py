"""What makes the world hard, by name, each of which can be switched off.

Some are settings (a noise of 0 is no noise), some part of what is drawn (a deadline), and some live
in the dynamics (a queue that is never filled).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envs.config import EnvConfig

SWITCHES: dict[str, str] = {
    "stale_estimates": "the device probes at every decision",
    "estimate_noise": "a probe measures exactly, loss too",
    "link_drift": "within an episode rates and RTT do not move slowly",
    "disturbances": "no handovers, bursts and outages",
    "transfer_surprise": "a transfer takes the model's seconds on the link of the decision",
    "task_spread": "tasks take the table's medians",
    "edge_contention": "nobody else uses the edge",
    "local_queue": "a task never waits for the device's own work",
    "radio_tail": "no offload finds the radio awake from the one before",
    "battery": "the battery is full and stays so",
    "deadlines": "there are none, and a remote run is awaited however long it takes",
}
"""What the world is without each."""

LINKS_OWN = ("link_drift", "disturbances")
"""What a measured link brings with it, so that it cannot be switched off there."""


def in_force(config: EnvConfig) -> EnvConfig:
    """The settings that scenarios are drawn with once what is switched off is taken out."""
    off = set(config.without)
    link, edge = config.link, config.edge
    if "stale_estimates" in off:
        link = replace(link, estimate_age_s=0.0)
    if "estimate_noise" in off:
        link = replace(link, rtt_noise=0.0, rate_noise=0.0, jitter_noise=0.0, loss_probe_packets=0)
    if "link_drift" in off:
        link = replace(link, rate_sigma=0.0, rtt_sigma=0.0)
    if "disturbances" in off:
        link = replace(link, disturbance_every_s=float("inf"))
    if "edge_contention" in off:
        edge = replace(edge, busy_share_high=0.0)
    return replace(config, link=link, edge=edge)


def parse_switches(text: str | None) -> tuple[str, ...]:
    """Names from a comma-separated list, as ``--without`` takes them; None: none.

    They are checked where the configuration is made.
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
