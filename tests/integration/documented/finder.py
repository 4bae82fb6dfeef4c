"""Every command that the documents name, found by what it looks like there, and its parts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ("python", "make", "pip", "pytest", "pre-commit", "sudo", "git", "apt-get")
"""An indented line, or inline code of two words or more, is a command if it begins with these."""
WITH_COMMANDS = (["-m", "netem"], ["-m", "edge_server"])
"""Programs whose first word may be a command, with options of its own."""

_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SETTING = re.compile(r"[A-Z][A-Z_]*=\S*$")
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_OPTION = re.compile(r"--[a-z][a-z-]*")


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is documented.

    Attributes:
        text: the command, on one line, without a comment.
        where: file and line of its first mention.
    """

    text: str
    where: str

    @property
    def shape(self) -> tuple[str, ...]:
        """What of it is fixed: :func:`shape_of` its text."""
        return shape_of(self.text)


def documents() -> list[Path]:
    """What is searched for commands."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def documented() -> list[Command]:
    """Every command of every document; one shape once."""
    found: dict[tuple[str, ...], Command] = {}
    for path in documents():
        for line, text in commands_in(path.read_text()):
            command = Command(text, f"{path.relative_to(ROOT)}:{line}")
            found.setdefault(command.shape, command)
    return list(found.values())


def commands_in(text: str) -> Iterator[tuple[int, str]]:
    """Line and command: of ``sh`` blocks every line, elsewhere what begins with a program."""
    prose: list[str] = []
    block = ""  # the language of the block that the line is in
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        if line.startswith("```"):
            block = "" if block else line.removeprefix("```") or "plain"
            line = ""
        elif block or line.startswith("    "):
            begin = number
            while line.endswith("\\"):
                number, more = next(lines)
                prose.append("")
                line = f"{line[:-1].rstrip()} {more.strip()}"
            whole = _COMMENT.sub("", line).strip()
            for part in filter(None, whole.split(" && ")):
                if block == "sh" or (not block and _is_command(part)):
                    yield begin, part.strip()
            line = ""
        prose.append(line)
    joined = "\n".join(prose)
    for code in (*_INLINE.finditer(joined), *re.finditer(r"<!-- (.+?) -->", joined)):
        found = " ".join(code.group(1).split())
        if _is_command(found):
            yield joined.count("\n", 0, code.start()) + 1, found


def _is_command(text: str) -> bool:
    words = text.split()
    while words and _SETTING.match(words[0]):
        words = words[1:]
    return len(words) > 1 and Path(words[0]).name in PROGRAMS


def words_of(text: str) -> list[str]:
    """The words of a command; brackets around what may be left out are taken off."""
    return shlex.split(re.sub(r"[\[\]]", "", text))


def program_of(words: list[str]) -> tuple[str, ...]:
    """The words that say which program, without Python: ``-m netem up``, ``evaluate.py``."""
    words = [word for word in words if not _SETTING.match(word)]
    if words and Path(words[0]).name == "python":
        words = words[1:]
        count = 2 if words[:1] == ["-m"] else 1
        with_a_command = words[:2] in WITH_COMMANDS and len(words) > 2
        return tuple(words[: count + (with_a_command and not words[2].startswith("-"))])
    one = words[:1] == ["pytest"]
    return tuple(words[: 1 if one else 2])


def prose_options() -> Iterator[tuple[str, str]]:
    """Every option that a document names by itself, and where."""
    for path in documents():
        for number, line in enumerate(path.read_text().split("\n"), start=1):
            for code in _INLINE.findall(line):
                if code.startswith("--"):
                    yield from (
                        (option, f"{path.relative_to(ROOT)}:{number}")
                        for option in _OPTION.findall(code)
                    )


def options_of(text: str) -> list[str]:
    """The options of the program itself; what stands behind ``--`` is another program's."""
    own = [word for word in words_of(text.split(" -- ")[0]) if " " not in word]
    return sorted({option for word in own for option in _OPTION.findall(word.split("=")[0])})


def shape_of(text: str) -> tuple[str, ...]:
    """What is fixed of a command: its program and its options, without the values."""
    words = words_of(text)
    settings = [word.split("=")[0] for word in words if _SETTING.match(word)]
    return (*program_of(words), *options_of(text), *sorted(settings))
