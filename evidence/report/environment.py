"""What a run was made with, as rows of a name and a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evidence.report.run_data import Result

_MOST_ROWS = 400

Row = tuple[str, str]


def origin_rows(origin: Mapping[str, Any]) -> list[Row]:
    """Command, commit, versions and machine, of what :func:`agents.run_directory.origin` wrote."""
    packages = origin.get("packages")
    if not isinstance(packages, dict):
        packages = {}
    versions = [f"{name} {version}" for name, version in packages.items() if version is not None]
    rows = {
        "command": origin.get("command"),
        "started": origin.get("started"),
        "commit": origin.get("commit") or "none: not run from a git checkout",
        "CPU": origin.get("cpu"),
        "cores": origin.get("cores"),
        "system": origin.get("system"),
        "Python": origin.get("python"),
        "packages": ", ".join(versions) or None,
    }
    return [(name, str(value)) for name, value in rows.items() if value is not None]


def setting_rows(result: Result) -> list[Row]:
    """How an evaluation was set."""
    details = result.details
    rows: dict[str, Any] = {
        "link": result.profile,
        "mode": "live" if result.live else "simulation",
        "backend": result.backend,
        "chosen because": details.get("backend_reason"),
        "congestion control": details.get("congestion_control"),
        "device CPU": _limit(details.get("device_cpu_limit")),
        "objective": result.objective,
        "seed": result.seed,
        "decisions": f"{result.decisions:,}",
        "latency": result.latency,
        "energy": result.energy,
    }
    rows |= {f"policy {name}": source for name, source in result.learned_policies_from.items()}
    return [(name, str(value)) for name, value in rows.items() if value is not None]


def _limit(limit: Any) -> str | None:
    if not isinstance(limit, dict):
        return None
    return f"{limit.get('method')}, {limit.get('reason')}, {limit.get('slowdown')} times slower"


def detail_rows(details: Mapping[str, Any]) -> list[Row]:
    """All details, nested names joined; at most so many as one may want to read."""
    return [row for row, _ in zip(_flat(details, ""), range(_MOST_ROWS), strict=False)]


def _flat(value: Any, name: str) -> Iterator[Row]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}, {key}" if name else str(key))
    elif isinstance(value, float):
        yield name, f"{value:.4g}"
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value)) or "none"
    else:
        yield name, "none" if value is None else str(value)
