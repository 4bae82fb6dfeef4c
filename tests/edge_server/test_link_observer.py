"""What the client tells of the link: its own pings and transfers, each direction by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from running_edge_server import RunningServer, a_task
from slow_relay import SlowRelay

from edge_server.client import EdgeClient
from offload.errors import RemoteFailure


class Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.rtts_s: list[float] = []
        self.transfers: list[tuple[int, float, bool]] = []

    def saw_rtt(self, rtt_s: float) -> None:
        self.rtts_s.append(rtt_s)

    def saw_transfer(self, n_bytes: int, seconds: float, *, uplink: bool) -> None:
        self.transfers.append((n_bytes, seconds, uplink))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.mark.measured
def test_a_run_tells_both_transfers_with_their_seconds(
    start_server: Callable[..., RunningServer], connect: Callable[..., EdgeClient], notes: Notes
) -> None:
    with SlowRelay(start_server().port, bytes_per_s=500_000) as relay:
        client = connect(relay.port, observer=notes)
        done = client.execute(a_task("echo"), bytes(400_000), budget_s=20.0)
        client.close()
    (up, up_s, up_is_up), (down, down_s, down_is_up) = notes.transfers
    assert (up, up_is_up, down, down_is_up) == (400_000, True, len(done.output), False)
    # The relay takes 0.8 s for the upload, less what lies in sockets behind it; none for the rest.
    assert 0.4 < up_s < 3.0
    assert up_s <= done.cost.upload_s  # which has the connecting in it
    assert down_s == pytest.approx(float(done.cost.download_s))


def test_pings_tell_the_round_trip(
    start_server: Callable[..., RunningServer], connect: Callable[..., EdgeClient], notes: Notes
) -> None:
    client = connect(start_server().port, observer=notes)
    rtt_s = client.ping(10.0)
    assert notes.rtts_s == [rtt_s]
    assert notes.transfers == []


def test_a_run_that_fails_tells_no_transfer(
    start_server: Callable[..., RunningServer], connect: Callable[..., EdgeClient], notes: Notes
) -> None:
    client = connect(start_server().port, observer=notes)
    with pytest.raises(RemoteFailure):
        client.execute(a_task("fail"), b"", budget_s=20.0)
    assert notes.transfers == []
