"""Every command of the documents works: run tiny here, or in the test that its row names."""

from __future__ import annotations

import ast
import re
from functools import cache, partial
from pathlib import Path

import pytest
from documented import ROWS
from documented.finder import (
    Command,
    commands_in,
    documented,
    options_of,
    program_of,
    prose_options,
    shape_of,
    words_of,
)
from documented.made import Made
from documented.row import ByTest, Not, Run
from documented.running import ROOT, run_program
from documented.trying import check_run, parameters

TABLE = "tests/integration/documented/rows_*.py"
ROW_OF = {shape_of(command): (command, how) for commands, how in ROWS for command in commands}
TESTS = ROOT / "tests"
NO_HELP = {("-m", "pytest"), ("-m", "tensorboard.main"), ("-m", "offload.tasks.profile_report")}
"""Programs of others, and one that takes no options."""
NO_OPTIONS = ("tests/", "scripts/sample_traces.py", "examples/")
"""Programs of ours that take none."""


@pytest.fixture(autouse=True)
def short_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are judged seldom, on a few episodes, beside a few threshold rules."""
    import agents.rivals.shipped
    import agents.thresholds
    import agents.training
    import agents.training_watch

    few = partial(agents.thresholds.tune_thresholds, grid=3)
    monkeypatch.setattr(agents.thresholds, "tune_thresholds", few)
    monkeypatch.setattr(agents.training_watch, "CHECKS", 2)
    monkeypatch.setattr(agents.training_watch, "VALIDATION_LANES", 16)
    monkeypatch.setattr(agents.training, "TUNING_LANES", 16)
    monkeypatch.setattr(agents.rivals.shipped, "VALIDATION_LANES", 16)


def test_every_documented_command_has_a_row() -> None:
    missing = [each for each in documented() if each.shape not in ROW_OF]
    said = "\n".join(f"{each.where}: {each.text}" for each in missing)
    assert not missing, f"no row in {TABLE} stands for:\n{said}\nadd one: how does CI run it?"


def test_every_row_is_documented() -> None:
    shapes = {each.shape for each in documented()}
    stale = [command for shape, (command, _) in ROW_OF.items() if shape not in shapes]
    assert not stale, f"{TABLE} has rows that no document names any more: {stale}"
    assert len(ROW_OF) == sum(len(commands) for commands, _ in ROWS), "a command is in two rows"


@pytest.mark.parametrize(("commands", "how"), parameters(Run, link=False))
def test_it_runs(commands: tuple[str, ...], how: Run, made: Made, tmp_path: Path) -> None:
    check_run(commands, how, made, tmp_path)


@pytest.mark.parametrize(("commands", "how"), parameters(ByTest))
def test_the_test_that_runs_it_is_there(commands: tuple[str, ...], how: ByTest) -> None:
    """And speaks of every option, as a word or as the attribute that it sets."""
    sources = []
    for name in how.names:
        file, _, function = name.partition("::")
        sources.append((TESTS / file).read_text())
        tree = ast.parse(sources[-1])
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in found, f"tests/{file} has no {function}"
    for option in {option for command in commands for option in options_of(command)}:
        attribute = option.removeprefix("--").replace("-", "_")
        spoken = re.compile(rf"{option}\b|\b{attribute}=")
        assert option in how.unnamed or any(map(spoken.search, sources)), option


def test_what_is_not_run_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    pinned = re.findall(r"^torch==\S+", (ROOT / "requirements.txt").read_text(), re.M)
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        text = path.read_text()
        for _, command in commands_in(text):
            words = words_of(command)
            if "make" in words:
                assert words[words.index("make") + 1] in targets, f"{path.name}: {command}"
        for file in re.findall(r"requirements[a-z-]*\.txt", text):
            assert (ROOT / file).is_file(), f"{path.name}: {file}"
        assert set(re.findall(r"torch==[\d.]+\d", text)) <= set(pinned), path.name
    assert all(how.reason for _, how in ROWS if isinstance(how, Not))


@cache
def _offered(program: tuple[str, ...]) -> frozenset[str]:
    """The options in a program's ``--help``."""
    done = run_program(["python", *program, "--help"])
    assert done.code == 0, done.err
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", done.out))


def _programs() -> set[tuple[str, ...]]:
    programs = {program_of(words_of(each.text)) for each in documented()}
    ours = {each for each in programs if each[0] == "-m" or Path(each[0]).suffix == ".py"}
    return {each for each in ours - NO_HELP if not each[0].startswith(NO_OPTIONS)}


def test_every_option_of_a_documented_command_is_in_its_help() -> None:
    programs = _programs()
    for each in documented():
        program = program_of(words_of(each.text))
        if program in programs:
            unknown = set(options_of(each.text)) - _offered(program)
            assert not unknown, f"{each.where}: {' '.join(program)} --help has no {unknown}"
    offered = frozenset().union(*(_offered(program) for program in programs))
    for option, where in prose_options():
        assert option in offered, f"{where}: no program has {option}"


def test_commands_are_found_wherever_they_stand() -> None:
    text = (
        "Text with `python a.py --b 1` and `make`, and one\nover `python\n-m c --d` lines.\n"
        "```sh\n# a comment\nls -l    # another\npython e.py \\\n    --f x -- bash --g\n```\n"
        "```python\nmake = 3\n```\n\n    make all && cd here\n    x = make it\n"
    )
    found = [(line, shape_of(command)) for line, command in commands_in(text)]
    assert sorted(found) == [
        (1, ("a.py", "--b")),
        (2, ("-m", "c", "--d")),
        (6, ("ls", "-l")),
        (7, ("e.py", "--f")),
        (14, ("make", "all")),
    ]
    netem = Command('python -m netem up [--x] --edge-command "a --y" -- z --w', "")
    assert netem.shape == ("-m", "netem", "up", "--edge-command", "--x")
