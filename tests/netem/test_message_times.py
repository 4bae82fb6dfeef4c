"""Messages timed over a real link, against what rate, delay and headers leave."""

from __future__ import annotations

import pytest

from netem import Link
from netem.message_times import Messages
from offload.types import DirectionProfile, LinkProfile

pytestmark = [pytest.mark.uml, pytest.mark.measured]


def _clean(rate_bps: float) -> LinkProfile:
    one_way = DirectionProfile(rate_bps, 0.02, 0.0, 0.0, 1.0, 0.5)
    return LinkProfile("clean", one_way, one_way, "wifi", "test")


@pytest.mark.parametrize("control", ["cubic", "bbr"])
def test_a_message_takes_the_way_and_its_bits(uml_link: Link, control: str) -> None:
    uml_link.apply(_clean(2e6))
    with Messages(uml_link, control) as messages:
        up, down = (
            messages.send(uplink, 28_960, idle_s=0.3, longest_s=20.0) for uplink in (True, False)
        )
    assert (up.number, down.number) == (0, 1)
    # 20 segments of 1,514 bytes less the bucket's 3,200 at 2 Mbit/s, and 20 ms of way; the sender
    # waits for acknowledgements for less than one round trip of 40 ms.
    floor_s = 0.02 + 8 * (20 * 1514 - 3200) / 2e6
    for sent in (up, down):
        assert sent.seconds is not None
        assert sent.idle_s >= 0.3
        assert sent.cwnd_segments >= 10
        assert (
            floor_s - 0.001 < sent.seconds < floor_s + 0.04 + 0.1 + sent.stall_s
        )  # a busy machine


def test_a_message_given_up_leaves_no_trace_in_the_next(uml_link: Link) -> None:
    uml_link.apply(_clean(1e6))
    with Messages(uml_link, "cubic") as messages:
        late = messages.send(True, 1_000_000, idle_s=0.0, longest_s=0.5)
        assert late.seconds is None
        following = messages.send(True, 1_000, idle_s=0.0, longest_s=20.0)
    assert following.number == 0
    assert following.seconds is not None
    assert 0.019 < following.seconds < 0.02 + 0.1 + following.stall_s
