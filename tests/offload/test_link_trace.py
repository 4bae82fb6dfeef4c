"""Traces: each format against values by hand, every bad line named, any bytes survived."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netem.commands.play import Play
from offload.errors import TraceError, UnknownNameError
from offload.link_profiles import get_profile
from offload.link_trace import (
    READERS,
    LinkTrace,
    load_trace,
    load_trace_files,
    load_traces,
    trace_files,
)
from offload.trace_formats import raw

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "docs" / "traces"
SHARED = ROOT.parent / "shared" / "traces" / "train"
HEADER = "t_s,down_mbps,up_mbps,rtt_ms,loss,tech\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_by_hand(tmp_path: Path) -> None:
    text = HEADER + "3,10,2,40,0.19,LTE-A\n4,0,1.5,60,0,5G-mmWave (28 GHz)\n6,8,1,50,1,LTE\n"
    trace = load_trace(write(tmp_path, "drive.csv", text))
    assert (trace.name, trace.rows) == ("drive", 3)
    np.testing.assert_allclose(trace.t_s, [0, 1, 3])
    assert trace.end_s == pytest.approx(4.5)  # the last row holds as long as the median of 1 and 2
    np.testing.assert_allclose(trace.downlink_bps, [10e6, 0, 8e6])
    np.testing.assert_allclose(trace.uplink_bps, [2e6, 1.5e6, 1e6])
    np.testing.assert_allclose(trace.rtt_s, [0.040, 0.060, 0.050])
    np.testing.assert_allclose(trace.uplink_delay_s, trace.downlink_delay_s)
    # A ping has two ways to be lost on: 1 - (1 - 0.1)^2 = 0.19.
    np.testing.assert_allclose(trace.uplink_loss, [0.1, 0, 1], atol=1e-12)
    assert trace.radio == "lte"
    assert trace.assumed == ()


def test_rows_hold_until_the_next_and_start_over(tmp_path: Path) -> None:
    text = "t_s,down_mbps,up_mbps\n0,1,1\n0.5,2,1\n2,3,1\n"
    trace = load_trace(write(tmp_path, "a.csv", text))
    assert trace.end_s == pytest.approx(3.0)
    rows = [trace.row_at(t) for t in (0, 0.49, 0.5, 1.99, 2.0, 2.99, 3.0, 3.5, 33.1)]
    assert rows == [0, 0, 1, 1, 2, 2, 0, 1, 0]


def test_two_columns_lack_everything_but_a_downlink(tmp_path: Path) -> None:
    trace = load_trace(write(tmp_path, "norway_bus_1", "0 1.5\n1.0\t2.5\n\n2.0,0\n"), base="3g")
    base = get_profile("3g")
    np.testing.assert_allclose(trace.downlink_bps, [1.5e6, 2.5e6, 0])
    np.testing.assert_allclose(trace.uplink_bps, 0.95e6)
    np.testing.assert_allclose(trace.rtt_s, 0.2)
    np.testing.assert_allclose(trace.downlink_loss, base.downlink.loss)
    assert trace.radio == "3g"
    said = "; ".join(trace.assumed)
    for words in ("uplink rate 0.95 Mbit/s", "delay 100 ms", "loss 0.5 %", "'3g'"):
        assert words in said
    assert "downlink rate" not in said


def test_four_columns(tmp_path: Path) -> None:
    trace = load_trace(write(tmp_path, "cell.txt", "0 30 50 0.01\n0.016 20 70 0\n"))
    np.testing.assert_allclose(trace.downlink_bps, [30e6, 20e6])
    np.testing.assert_allclose(trace.rtt_s, [0.05, 0.07])
    np.testing.assert_allclose(trace.downlink_loss, [0.01, 0])
    assert trace.end_s == pytest.approx(0.032)


def test_mahimahi_counts_chances(tmp_path: Path) -> None:
    # Down: 3 chances in the first half second, none in the second, 2 in the third, the last of them
    # at its very end; up: as many each millisecond as lines say.
    write(tmp_path, "v.down", "1\n1\n500\n1200\n1500\n")
    write(tmp_path, "v.up", "100\n1400\n1500\n")
    chance_bps = 1504 * 8 / 0.5
    for name in ("v.up", "v.down"):
        trace = load_trace(tmp_path / name)
        np.testing.assert_allclose(trace.t_s, [0, 0.5, 1.0])
        assert trace.end_s == pytest.approx(1.5)
        np.testing.assert_allclose(trace.downlink_bps, np.array([3, 0, 2]) * chance_bps)
        np.testing.assert_allclose(trace.uplink_bps, np.array([1, 0, 2]) * chance_bps)
    assert [path.name for path in trace_files(tmp_path)] == ["v.down"]


def test_mahimahi_keeps_every_chance_whatever_the_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for length_ms in (1, 499, 740, 760, 12_345):
        times = np.sort(rng.integers(0, length_ms + 1, 300))
        times[-1] = length_ms
        trace = load_trace(write(tmp_path, "x", "\n".join(map(str, times))), "mahimahi")
        bits = trace.downlink_bps @ np.diff(np.append(trace.t_s, trace.end_s))
        assert bits == pytest.approx(300 * 1504 * 8)
        assert trace.end_s == pytest.approx(length_ms / 1e3)


def test_mahimahi_of_two_lengths_is_cut_to_the_shorter_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, "v.down", "500\n1000\n2000\n")
    write(tmp_path, "v.up", "1000\n")
    trace = load_trace(tmp_path / "v.down")
    assert trace.end_s == 1.0
    assert any("v.down is cut from 2 s to 1 s" in line for line in trace.assumed)


def test_alphartc_by_hand(tmp_path: Path) -> None:
    document = {
        "uplink": {
            "trace_pattern": [
                {"duration": 1000, "capacity": 300, "loss": 0.1, "rtt": 80, "jitter": 3},
                {"duration": 500, "capacity": 600, "loss": 0, "rtt": 100, "jitter": 3},
            ]
        },
        "downlink": {"trace_pattern": [{"duration": 1200, "capacity": 900}]},
    }
    trace = load_trace(write(tmp_path, "a.json", json.dumps(document)))
    np.testing.assert_allclose(trace.t_s, [0, 1.0])
    assert trace.end_s == pytest.approx(1.2)
    np.testing.assert_allclose(trace.uplink_bps, [300e3, 600e3])
    np.testing.assert_allclose(trace.downlink_bps, [900e3, 900e3])
    np.testing.assert_allclose(trace.rtt_s, [0.08, 0.1])  # the downlink has none of its own
    np.testing.assert_allclose(trace.uplink_loss, [0.1, 0])
    np.testing.assert_allclose(trace.downlink_loss, get_profile("lte").downlink.loss)
    assert any("cut from 1.5 s to 1.2 s" in line for line in trace.assumed)


def test_the_samples_are_one_link_in_every_format(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "sample_traces.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=60)
    for path in SAMPLES.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    traces = {trace.name: trace for trace in load_traces(SAMPLES)}
    assert set(traces) == {
        "sample", "bandwidth", "bandwidth-rtt-loss", "mahimahi", "alphartc"
    }  # fmt: skip
    sample = traces["sample"]
    chance_bps = 1504 * 8 / 0.5
    for name in ("bandwidth", "bandwidth-rtt-loss", "alphartc", "mahimahi"):
        slack = chance_bps * 1.01 if name == "mahimahi" else 1.0
        np.testing.assert_allclose(traces[name].downlink_bps, sample.downlink_bps, atol=slack)
    for name in ("alphartc", "mahimahi"):
        slack = chance_bps * 1.01 if name == "mahimahi" else 1.0
        np.testing.assert_allclose(traces[name].uplink_bps, sample.uplink_bps, atol=slack)
    for name in ("bandwidth-rtt-loss", "alphartc"):
        np.testing.assert_allclose(traces[name].rtt_s, sample.rtt_s)
    assert np.count_nonzero(sample.downlink_bps == 0.0) == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", HEADER + "0,1,1,1,0,x\n1,one,1,1,0,x\n", r"a\.csv:3: down_mbps is 'one'"),
        ("a.csv", HEADER + "0,1,-1,1,0,x\n", r"a\.csv:2: up_mbps is -1\.0"),
        ("a.csv", HEADER + "0,1,1,nan,0,x\n", r"a\.csv:2: rtt_ms is nan"),
        ("a.csv", HEADER + "0,inf,1,1,0,x\n", r"a\.csv:2: down_mbps is inf"),
        ("a.csv", HEADER + "0,1,1,1,1.5,x\n", r"a\.csv:2: loss is 1\.5; it must be from 0 to 1"),
        ("a.csv", HEADER + "\n# note\n0,1,1,1,0,x\n0,1,1,1,0,x\n", r"a\.csv:5: .*must rise"),
        ("a.csv", HEADER + "0,1,1,1,0\n", r"a\.csv:2: 5 cells; the header has 6"),
        ("a.csv", HEADER, r"a\.csv: holds no rows"),
        ("a.csv", "", r"a\.csv: empty"),
        ("a.csv", "t_s,up_mbps\n0,1\n", r"a\.csv:1: no column 'down_mbps'"),
        ("a.csv", "t_s,up_mbps,down_mbps,t_s\n0,1,1,1\n", r"a\.csv:1: a column is there twice"),
        ("a.txt", "0 1\n1 x\n", r"a\.txt:2: bandwidth \(Mbit/s\) is 'x'"),
        ("a.txt", "0 1\n1 1 1\n", r"a\.txt:2: 3 columns"),
        ("a.txt", "0 1 1\n", r"a\.txt:1: no trace format has 3 columns"),
        ("a.txt", "", r"a\.txt: empty"),
        ("a.up", "5\n3\n", r"a\.up:2: 3 ms follows 5 ms"),
        ("a.up", "1.5\n", r"a\.up:1: millisecond is 1\.5"),
        ("a.up", "0\n0\n", r"a\.up: every line is 0 ms"),
        ("a.json", "{", r"a\.json:1: not JSON"),
        ("a.json", "[]", r"a\.json: a JSON list; it must be \{\"uplink\""),
        ("a.json", "{}", r"neither direction has a row"),
        ("a.json", '{"uplink": {"trace_pattern": [{"duration": 5}]}}', r"uplink.*\[0\]: capacity"),
        (
            "a.json",
            '{"uplink": {"trace_pattern": [{"duration": 0, "capacity": 1}]}}',
            r"duration is 0 ms",
        ),
        (
            "a.json",
            '{"uplink": {"trace_pattern": [{"duration": 1, "capacity": 1, "rtt": 1},'
            ' {"duration": 1, "capacity": 1}]}}',
            r"uplink\.trace_pattern\[1\] has no 'rtt', but other rows do",
        ),
        ("a.json", "[" * 100_000, r"a\.json: not JSON that can be read"),
        ("a.json", b"\xff\xfe", r"a\.json: not UTF-8 text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, name: str, text: str | bytes, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        load_trace(write(tmp_path, name, text))


def test_windows_text_reads_the_same(tmp_path: Path) -> None:
    text = HEADER + "0,5,1,40,0,LTE\n0.5,6,2,50,0,LTE\n"
    plain = load_trace(write(tmp_path, "a.csv", text))
    windows = load_trace(write(tmp_path, "b.csv", "\ufeff" + text.replace("\n", "\r\n")))
    np.testing.assert_array_equal(plain.downlink_bps, windows.downlink_bps)
    np.testing.assert_array_equal(plain.t_s, windows.t_s)
    assert windows.radio == "lte"


def test_a_missing_direction_needs_a_base_with_a_rate(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "0 1\n1 2\n")
    with pytest.raises(TraceError, match="has no uplink rate, and neither has base profile 'lan'"):
        load_trace(path, base="lan")


def test_files_that_are_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "a", "".join(f"{t} 1\n" for t in range(20)))
    monkeypatch.setattr(raw, "MAX_FILE_BYTES", 10)
    with pytest.raises(TraceError, match="may have at most 10"):
        load_trace(path)
    monkeypatch.setattr(raw, "MAX_FILE_BYTES", 10_000)
    monkeypatch.setattr(raw, "MAX_ROWS", 10)
    with pytest.raises(TraceError, match=":12: more than 10 rows"):
        load_trace(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        load_trace(tmp_path / "none.csv")
    with pytest.raises(TraceError, match="no such folder"):
        load_traces(tmp_path / "none")
    with pytest.raises(TraceError, match="a folder; name a trace file"):
        load_trace(tmp_path, "csv")
    (tmp_path / ".hidden").touch()
    with pytest.raises(TraceError, match="a file; name the folder"):
        load_traces(tmp_path / ".hidden")
    with pytest.raises(TraceError, match="holds no trace files"):
        load_traces(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'mahimahi'"):
        load_trace(tmp_path / "x", "mahimahy")
    with pytest.raises(UnknownNameError, match="Did you mean 'lte'"):
        load_trace(tmp_path / "x", base="ltee")


def test_a_folder_is_read_in_order_with_names_that_differ(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        write(tmp_path, name, "t_s,down_mbps,up_mbps\n0,1,1\n")
    write(tmp_path, "a.txt", "0 1\n")
    write(tmp_path, "README.md", "# not a trace\n")
    write(tmp_path, ".hidden", "neither\n")
    assert [trace.name for trace in load_traces(tmp_path)] == ["a.csv", "a.txt", "b"]
    twin = tmp_path / "more"
    twin.mkdir()
    other = write(twin, "b.csv", "t_s,down_mbps,up_mbps\n0,1,1\n")
    both = load_trace_files([tmp_path / "b.csv", other])
    assert [trace.name for trace in both] == [str(tmp_path / "b.csv"), str(other)]


def test_a_trace_made_by_hand_is_checked() -> None:
    ones = np.ones(2)
    good = {
        "name": "x", "t_s": np.array([0.0, 1.0]), "end_s": 2.0, "uplink_bps": ones,
        "downlink_bps": ones, "uplink_delay_s": ones, "downlink_delay_s": ones,
        "uplink_loss": 0 * ones, "downlink_loss": 0 * ones, "radio": "lte",
        "base": get_profile("lte"), "assumed": (), "source": "",
    }  # fmt: skip
    LinkTrace(**good)
    for bad in (
        {"t_s": np.array([0.0, 0.0])},
        {"t_s": np.array([1.0, 2.0])},
        {"end_s": 1.0},
        {"uplink_bps": np.ones(3)},
        {"uplink_loss": 2 * ones},
        {"downlink_bps": np.array([1.0, np.nan])},
    ):
        with pytest.raises(TraceError):
            LinkTrace(**(good | bad))


TEXT = st.text(alphabet='0123456789.,-eE \t\n\r#{}[]":nai\x00\ufeff_t_sdownup', max_size=300)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["uplink", "downlink", "trace_pattern", "duration", "capacity", "rtt", "loss"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)
CELL = st.sampled_from(["0", "1", "2.5", "-1", "nan", "1e400", "", "x", "0.5", "1e13", "3e-320"])
TABLE = st.lists(st.lists(CELL, min_size=1, max_size=6).map(",".join), max_size=6).map(
    lambda lines: (HEADER + "\n".join(lines)).encode()
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=200)
    | TEXT.map(str.encode)
    | JSON.map(lambda value: json.dumps(value).encode())
    | TABLE,
    format=st.sampled_from(["auto", *READERS]),
    name=st.sampled_from(["x", "x.csv", "x.json", "x.up"]),
)
def test_any_bytes_are_a_trace_or_a_trace_error(
    tmp_path: Path, data: bytes, format: str, name: str
) -> None:
    path = write(tmp_path, name, data)
    with contextlib.suppress(TraceError):
        trace = load_trace(path, format)
        assert trace.rows >= 1
        assert trace.end_s > trace.t_s[-1]


def test_the_command_line_knows_every_format() -> None:
    assert get_args(get_type_hints(Play)["format"]) == ("auto", *READERS)


def test_the_measured_links_are_read() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no measured links at {SHARED}")
    traces = load_traces(SHARED)
    assert len(traces) == 98
    assert all(trace.assumed == () for trace in traces)
    assert {trace.radio for trace in traces} == {"lte", "5g_low", "5g_mmwave"}
    text = (SHARED / f"{traces[5].name}.csv").read_text().splitlines()[3].split(",")
    assert traces[5].downlink_bps[2] == pytest.approx(float(text[1]) * 1e6)
    assert traces[5].rtt_s[2] == pytest.approx(float(text[3]) / 1e3)
