"""Radio energy of transfers worked by hand from the published coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from offload.energy_model import (
    RADIO_NAMES,
    RADIOS,
    get_radio,
    moving_energy_j,
    radio_batch,
    tail_energy_j,
)
from offload.errors import UnknownNameError

LTE_MOVING_J = 438.39e-3 * 8.0 + 51.97e-3 * 0.8 + 1.28804 * (2.0 + 0.5)
LTE_WAKING_J = 1.210 * 0.260
LTE_TAIL_J = 1.060 * 11.576


def radio_energy_j(radio, *, tail_left_s, **moved):
    """Both parts of a remote run's radio energy."""
    return moving_energy_j(radio, **moved) + tail_energy_j(radio, tail_left_s)


def _lte_j(tail_left_s: float) -> float:
    """1 MB up in 2 s, 100 kB down in 0.5 s."""
    return float(
        radio_energy_j(
            RADIOS["lte"],
            uplink_bytes=1e6,
            downlink_bytes=1e5,
            upload_s=2.0,
            download_s=0.5,
            tail_left_s=tail_left_s,
        )
    )


def test_a_transfer_from_idle_pays_promotion_and_the_whole_tail() -> None:
    assert _lte_j(0.0) == pytest.approx(LTE_MOVING_J + LTE_WAKING_J + LTE_TAIL_J)
    assert _lte_j(0.0) == pytest.approx(19.3540, abs=1e-4)


def test_a_transfer_within_the_tail_pays_for_what_it_prolongs() -> None:
    assert _lte_j(4.0) == pytest.approx(LTE_MOVING_J + 1.060 * (11.576 - 4.0))


def test_a_transfer_beside_another_pays_no_tail_of_its_own() -> None:
    assert _lte_j(11.576) == pytest.approx(LTE_MOVING_J)
    assert _lte_j(30.0) == pytest.approx(LTE_MOVING_J)


def test_the_two_directions_have_their_own_price() -> None:
    def moving_j(up: float, down: float) -> float:
        return float(
            radio_energy_j(
                RADIOS["lte"],
                uplink_bytes=up,
                downlink_bytes=down,
                upload_s=0.0,
                download_s=0.0,
                tail_left_s=99.0,
            )
        )

    assert moving_j(1e6, 0.0) == pytest.approx(3.50712)
    assert moving_j(0.0, 1e6) == pytest.approx(0.41576)


def test_wifi_has_a_short_tail_and_wakes_for_free() -> None:
    energy_j = radio_energy_j(
        RADIOS["wifi"],
        uplink_bytes=0.0,
        downlink_bytes=0.0,
        upload_s=1.0,
        download_s=0.0,
        tail_left_s=0.0,
    )
    assert energy_j == pytest.approx(0.13286 + 0.119 * 0.238)


def test_5g_counts_the_radio_without_the_phone() -> None:
    # 3.197 W and 2.883 W were measured with the phone's 2.35 W in them.
    assert RADIOS["5g_low"].uplink_base_w == pytest.approx(0.847)
    assert RADIOS["5g_low"].downlink_base_w == pytest.approx(0.533)
    assert RADIOS["5g_mmwave"].uplink_base_w == pytest.approx(3.287)


def test_a_batch_of_radios_agrees_with_each_alone() -> None:
    picks = np.arange(len(RADIO_NAMES))
    amounts = {
        "uplink_bytes": np.full(len(picks), 3e5),
        "downlink_bytes": np.full(len(picks), 2e4),
        "upload_s": np.full(len(picks), 0.7),
        "download_s": np.full(len(picks), 0.1),
        "tail_left_s": np.array([0.0, 1.0, 2.0, 0.0, 5.0]),
    }
    batch = radio_energy_j(radio_batch(picks), **amounts)
    alone = [
        radio_energy_j(RADIOS[name], **{key: float(value[i]) for key, value in amounts.items()})
        for i, name in enumerate(RADIO_NAMES)
    ]
    np.testing.assert_allclose(batch, alone, rtol=1e-14)


def test_an_unknown_radio_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'lte'"):
        get_radio("ltee")
