"""Who may import whom, and what must stay quick to import.

The arrows of docs/architecture.md, kept by reading every import statement of every package,
those inside functions too.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT = {
    "offload": set(),
    "netem": {"offload"},
    "edge_server": {"offload"},
    "envs": {"offload"},
    "agents": {"offload", "envs"},
    "testbed": {"offload", "netem", "edge_server"},
    "client_library": {"offload", "netem", "edge_server", "agents"},
    "evidence": {"offload", "netem", "envs", "agents", "testbed", "edge_server"},
}
"""Each package, and the packages of ours it may know. Scripts and benchmarks join them all."""

FRONT_DOOR = ("offload/__init__.py", "client_library")
"""The one import against the arrows: programs say ``from offload import connect``. It is taken only
when one of those names is asked for, so that ``import offload`` alone still loads nobody.
"""

MUST_NOT_IMPORT = {
    "offload": {"torch", "zmq", "gymnasium", "stable_baselines3"},
    "edge_server": {"torch", "gymnasium", "stable_baselines3"},
    "netem": {"torch", "zmq", "gymnasium", "stable_baselines3"},
}
"""Libraries that a package must do without, wherever the import stands."""

SLOW = ("torch", "stable_baselines3", "tensorboard", "matplotlib")
"""Libraries that take a second or more to import; nothing below may load them at once."""


def _imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and first name of every import; relative ones are the package's own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, package if node.level else (node.module or "").split(".")[0]


def _broken_rules(package: str, files: dict[str, str]) -> list[str]:
    strangers = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    strangers |= MUST_NOT_IMPORT.get(package, set())
    return [
        f"{name}:{line} imports {imported}"
        for name, source in sorted(files.items())
        for line, imported in _imports(source, package)
        if imported in strangers and (name, imported) != FRONT_DOOR
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_whom_they_may(package):
    files = {
        str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / package).rglob("*.py")
    }
    assert files, f"the package {package} has no Python file"
    assert _broken_rules(package, files) == []


def test_the_front_door_is_shut_until_somebody_knocks():
    code = "import sys, offload\nassert 'client_library' not in sys.modules\n"
    assert _loaded_by(code + "from offload import connect\n") == set()
    with pytest.raises(ImportError):
        from offload import no_such_name  # noqa: F401


def test_every_package_of_ours_is_covered():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(MAY_IMPORT)


def test_the_reader_sees_every_form_of_import():
    source = "import zmq.asyncio\nfrom . import x\ndef f():\n    from netem.links import y\n"
    assert _broken_rules("offload", {"a.py": source}) == [
        "a.py:1 imports zmq",
        "a.py:4 imports netem",
    ]
    assert _broken_rules("testbed", {"a.py": source}) == []


def _required() -> set[str]:
    """The names in the requirements files, in lower case and with dashes."""
    lines = [
        line for path in ROOT.glob("requirements*.txt") for line in path.read_text().split("\n")
    ]
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith("-")]
    return {re.sub(r"[._]", "-", name.group().lower()) for name in names if name}


def test_whatever_is_imported_stands_in_a_requirements_file():
    """A library that merely came along with another one can be gone with its next version."""
    distributions = importlib.metadata.packages_distributions()
    files = list((ROOT / "tests").rglob("*.py"))
    neighbours = {path.parent.name if path.stem == "__init__" else path.stem for path in files}
    ours = {*MAY_IMPORT, "tests", "benchmarks", *(path.stem for path in ROOT.glob("*.py"))}
    folders = [ROOT / name for name in (*MAY_IMPORT, "benchmarks", "tests")]
    required = _required()
    missing = set()
    for path in [*ROOT.glob("*.py"), *(p for folder in folders for p in folder.rglob("*.py"))]:
        for line, name in _imports(path.read_text(), "offload"):
            if name in sys.stdlib_module_names or name in ours | neighbours:
                continue
            named = {re.sub(r"[._]", "-", d.lower()) for d in distributions.get(name, [name])}
            if not named & required:
                missing.add(f"{path.relative_to(ROOT)}:{line} imports {name}, of {sorted(named)}")
    assert missing == set()


def test_the_gpl_library_stays_in_its_one_task():
    users = [
        path.relative_to(ROOT).as_posix()
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
        if "chess" in {name for _, name in _imports(path.read_text(), package)}
    ]
    assert set(users) <= {"offload/tasks/chess_search.py"}


def _present(*modules: str) -> list[str]:
    """Those of the modules whose file is there."""
    paths = [ROOT.joinpath(*module.split(".")) for module in modules]
    return [
        module
        for module, path in zip(modules, paths, strict=True)
        if path.with_suffix(".py").is_file() or path.is_dir()
    ]


def _loaded_by(code: str) -> set[str]:
    """The slow libraries that a fresh interpreter holds after running ``code``."""
    report = f"\nimport sys\nprint(*sorted(set({SLOW!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code + report],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def test_every_module_of_offload_is_light():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "offload").rglob("*.py"))
        if path.name != "__main__.py"
    ]
    assert _loaded_by("\n".join(f"import {module}" for module in modules)) == set()


@pytest.mark.parametrize(
    "module",
    _present(
        "client_library",
        "edge_server.client",
        "agents.bundle",
        "agents.bundle_policy",
        "netem",
        "testbed",
    ),
)
def test_what_runs_on_the_device_is_light(module):
    assert _loaded_by(f"import {module}") == set()


_HELP = """
import runpy, sys
sys.argv = [{target!r}, "--help"]
try:
    runpy.{run}({target!r}, run_name="__main__")
except SystemExit as end:
    assert end.code in (0, None), end.code
"""


@pytest.mark.parametrize("script", [p.name for p in sorted(ROOT.glob("*.py"))])
def test_help_of_a_script_loads_nothing_slow(script):
    assert _loaded_by(_HELP.format(target=script, run="run_path")) == set()


@pytest.mark.parametrize("package", [p.parent.name for p in sorted(ROOT.glob("*/__main__.py"))])
def test_help_of_a_package_loads_nothing_slow(package):
    assert _loaded_by(_HELP.format(target=package, run="run_module")) == set()
