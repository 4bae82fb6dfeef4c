"""The named network profiles: what an emulated link is told to be, and where each figure is from.

Delay and jitter are one way, in each direction. Loss is Gilbert-Elliott with chances p (enter the
losing state) and r (leave it), so its mean is p / (p + r). Rates are capped at 200 Mbit/s, which is
what the slowest packet backend still carries faithfully. Jitter split, queue lengths and p/r are
judgement on the data of the sources named.
"""

from __future__ import annotations

from offload.errors import UnknownNameError
from offload.types import DirectionProfile, LinkProfile


def _profile(
    name: str,
    *,
    down_mbps: float | None,
    up_mbps: float | None,
    delay_ms: float,
    jitter_ms: float,
    loss_percent: tuple[float, float],
    queue_ms: float,
    radio: str,
    source: str,
) -> LinkProfile:
    """Build a profile from the units of the published tables (Mbit/s, ms, per cent)."""

    def direction(mbps: float | None) -> DirectionProfile:
        return DirectionProfile(
            rate_bps=None if mbps is None else mbps * 1e6,
            delay_s=delay_ms / 1e3,
            jitter_s=jitter_ms / 1e3,
            loss_enter=loss_percent[0] / 100,
            loss_leave=loss_percent[1] / 100,
            queue_s=queue_ms / 1e3,
        )

    return LinkProfile(name, direction(up_mbps), direction(down_mbps), radio, source)


_ALL = (
    _profile("lan", down_mbps=None, up_mbps=None, delay_ms=0, jitter_ms=0, loss_percent=(0, 100),
             queue_ms=0, radio="wifi", source="control"),
    _profile("wifi", down_mbps=30, up_mbps=30, delay_ms=3, jitter_ms=1, loss_percent=(0.05, 50),
             queue_ms=50, radio="wifi", source="Zhuge (SIGCOMM 22) office Wi-Fi; MECPerf edge RTT"),
    _profile("wifi_busy", down_mbps=8, up_mbps=8, delay_ms=8, jitter_ms=5, loss_percent=(2, 50),
             queue_ms=200, radio="wifi", source="Hairpin (NSDI 24) Wi-Fi"),
    _profile("5g", down_mbps=100, up_mbps=20, delay_ms=8, jitter_ms=2, loss_percent=(0.05, 50),
             queue_ms=50, radio="5g_low", source="PAM 2025 5G-mid; CICV5G n78 RTT 16 ms"),
    _profile("5g_low", down_mbps=35, up_mbps=17, delay_ms=10, jitter_ms=3, loss_percent=(0.1, 50),
             queue_ms=100, radio="5g_low", source="PAM 2025 5G-low; CICV5G n8 RTT 19 ms"),
    _profile("5g_mmwave", down_mbps=200, up_mbps=46, delay_ms=5, jitter_ms=3,
             loss_percent=(0.2, 20), queue_ms=50, radio="5g_mmwave",
             source="PAM 2025 mmWave 284/46, capped for the emulator"),
    _profile("lte", down_mbps=39, up_mbps=14, delay_ms=20, jitter_ms=4, loss_percent=(0.15, 50),
             queue_ms=150, radio="lte", source="PAM 2025 LTE-A; MECPerf edge RTT 41 ms"),
    _profile("lte_drive", down_mbps=15, up_mbps=5.6, delay_ms=30, jitter_ms=10,
             loss_percent=(0.35, 48), queue_ms=300, radio="lte", source="PAM 2025 LTE, ping bursts"),
    _profile("congested", down_mbps=3.5, up_mbps=1.3, delay_ms=55, jitter_ms=20,
             loss_percent=(0.5, 25), queue_ms=500, radio="lte",
             source="PAM 2025 LTE-A/5G-mid 10th percentile; RTT p90 76-115 ms"),
    _profile("3g", down_mbps=2.0, up_mbps=0.95, delay_ms=100, jitter_ms=20,
             loss_percent=(0.25, 50), queue_ms=500, radio="3g",
             source="Mahimahi T-Mobile UMTS; Augmented Traffic Control 100 ms"),
    _profile("edge_of_coverage", down_mbps=0.5, up_mbps=0.3, delay_ms=150, jitter_ms=60,
             loss_percent=(2, 20), queue_ms=1000, radio="lte", source="CICV5G rural tail"),
)  # fmt: skip

PROFILES: dict[str, LinkProfile] = {profile.name: profile for profile in _ALL}
"""Every named profile, from fastest control to worst, in the order of the documentation's table."""


def get_profile(name: str) -> LinkProfile:
    """The profile of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise UnknownNameError("network profile", name, PROFILES) from None
