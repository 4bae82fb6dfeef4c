"""The folder each run writes: settings, where it came from, curve, model, bundle."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offload.errors import ConfigError

RUNS = Path("runs")
CONFIG_NAME = "config.json"
ORIGIN_NAME = "origin.json"
STATUS_NAME = "status.json"
CURVE_NAME = "curve.csv"
MODEL_NAME = "model.zip"
BUNDLE_NAME = "bundle"
TENSORBOARD_NAME = "tensorboard"
DECISION_MAP_NAME = "decision-map.png"

MAX_JSON_BYTES = 4 << 20
"""More than the settings of a run with thousands of traces take."""

_PACKAGES = ("gymnasium", "stable-baselines3", "torch", "numpy", "scipy", "pyzmq", "onnxruntime")


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that the file appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(data, indent=2) + "\n")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: missing, not JSON, no object, or larger than any that is written here.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JSON_BYTES + 1)
        if len(text) > MAX_JSON_BYTES:
            raise ConfigError(f"{path} holds more than {MAX_JSON_BYTES:,} bytes; it is not read")
        data = json.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} does not hold a JSON object")
    return data


def make_folder(path: Path) -> Path:
    """Make a folder for results.

    Raises:
        ConfigError: it cannot be made or written to; the message names the way out.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".write-test.{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"cannot write to {path}: {error.strerror}; name another folder with --out"
        ) from error
    return path


def new_run_folder(root: Path, label: str) -> Path:
    """Make ``root/<time>-<label>``; a number is added if two runs start in one second.

    What a path cannot hold becomes an underscore.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    label = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in label)
    make_folder(root)
    for attempt in range(100):
        suffix = f"-{attempt}" if attempt else ""
        path = root / f"{stamp}-{label}{suffix}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise ConfigError(f"{root} holds a hundred runs of this second")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a run's folder to this process; a process that dies lets go of it.

    Raises:
        ConfigError: another process has it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder} is in use by another process") from None
        yield
    finally:
        os.close(handle)


def origin() -> dict[str, Any]:
    """Where a result comes from: command, commit, versions, machine."""
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _cpu() -> str | None:
    """The processor's name as Linux tells it; None where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the code, with ``+changes`` if the tree differs from it; None outside git."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def bundle_folders(run: Path) -> list[Path]:
    """The bundles of a run, or of a folder of seeds in the order of the seeds; none: empty."""
    folders = [run / BUNDLE_NAME, *(seed / BUNDLE_NAME for seed in _seed_runs(run))]
    return [folder for folder in folders if (folder / "policy.json").is_file()]


def _seed_runs(folder: Path) -> list[Path]:
    numbered = {
        int(path.name.removeprefix("seed")): path
        for path in folder.glob("seed*")
        if path.name.removeprefix("seed").isdecimal()
    }
    return [numbered[seed] for seed in sorted(numbered)]


def runs_with_bundles(
    root: Path, algorithm: str, objective: str, notes: list[str]
) -> Iterator[Path]:
    """The runs (and folders of seeds) of that algorithm and objective, the newest first.

    Args:
        notes: gets a line for each run that is passed over because it cannot be read.
    """
    if not root.is_dir():
        return
    for path in sorted(root.iterdir(), reverse=True):
        folders = bundle_folders(path)
        if not folders:
            continue
        try:
            description = read_json(folders[0] / "policy.json")
        except ConfigError as error:
            notes.append(f"{path} is passed over: {error}")
            continue
        if (description.get("algorithm"), description.get("objective")) == (algorithm, objective):
            yield path
