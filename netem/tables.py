"""Rows of the tables the command line prints; conversion from SI units happens here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from offload.link_profiles import PROFILES

if TYPE_CHECKING:
    from netem.conformance import Outcome
    from netem.measurement import Measured

Rows = Sequence[Sequence[str]]


def profile_rows() -> tuple[list[str], Rows]:
    """Header and rows of the profile table."""
    header = ["profile", "down/up Mbit/s", "delay ± sd ms", "loss p/r (mean) %", "queue ms"]
    rows = []
    for profile in PROFILES.values():
        up, down = profile.uplink, profile.downlink
        loss = f"{down.loss_enter * 100:g}/{down.loss_leave * 100:g} ({down.loss * 100:.1f})"
        rows.append(
            [
                profile.name,
                f"{_mbps(down.rate_bps)} / {_mbps(up.rate_bps)}",
                f"{down.delay_s * 1e3:g} ± {down.jitter_s * 1e3:g}",
                loss if down.loss_enter else "0",
                f"{down.queue_s * 1e3:g}" if down.rate_bps else "-",
                profile.source,
            ]
        )
    return [*header, "source"], rows


def measured_rows(results: Sequence[Measured]) -> tuple[list[str], Rows]:
    """Header and rows of the table set against measured."""
    header = [
        "profile",
        "RTT ms set",
        "measured",
        "jitter ms set",
        "measured",
        "up Mbit/s set",
        "train",
        "TCP",
        "down Mbit/s set",
        "train",
        "TCP",
        "loss up % set",
        "measured",
        "loss down % set",
        "measured",
    ]
    rows = [
        [
            result.profile,
            f"{result.rtt_set_s * 1e3:g}",
            f"{result.rtt_s * 1e3:.2f}",
            f"{result.jitter_set_s * 1e3:.1f}",
            f"{result.jitter_s * 1e3:.1f}",
            _mbps(result.uplink_set_bps),
            _mbps(result.uplink_train_bps),
            _mbps(result.uplink_goodput_bps),
            _mbps(result.downlink_set_bps),
            _mbps(result.downlink_train_bps),
            _mbps(result.downlink_goodput_bps),
            f"{result.uplink_loss_set * 100:.2f}",
            f"{result.uplink_loss * 100:.2f} ± {result.uplink_loss_error * 100:.2f}",
            f"{result.downlink_loss_set * 100:.2f}",
            f"{result.downlink_loss * 100:.2f} ± {result.downlink_loss_error * 100:.2f}",
        ]
        for result in results
    ]
    return header, rows


def conformance_rows(outcome: Outcome) -> tuple[list[str], Rows]:
    """Header and rows of what one backend was found to do."""
    header = ["check", "set up as", "way", "unit", "set", "measured", "bound", "n", "result", ""]
    rows = [
        [
            check.trait,
            check.setting,
            check.direction,
            check.unit,
            f"{check.set_value:.5g}",
            f"{check.measured:.5g}",
            _bound(check.low, check.high),
            str(check.samples),
            "pass" if check.passed else "FAIL",
            check.detail,
        ]
        for check in outcome.checks
    ]
    return header, rows


def print_table(header: Sequence[str], rows: Rows) -> None:
    """Print as a Markdown table, padded so that it reads well in a terminal too."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    for row in [header, rule, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(f"| {' | '.join(cells)} |")


def _bound(low: float, high: float) -> str:
    return f"{low:.5g}" if low == high else f"{low:.4g} to {high:.4g}"


def _mbps(bps: float | None) -> str:
    return "none" if bps is None else f"{bps / 1e6:.3g}"
