"""The programs of examples/, run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_server.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a server as a user would; gives its port."""
    with ExitStack() as stack:

        def start(*arguments: str) -> str:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, *arguments],
                    stdout=subprocess.PIPE,
                    text=True,
                    env=ENVIRONMENT,
                    cwd=ROOT,
                )
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "edge server ready on tcp://127.0.0.1:" in line
            return line.split("127.0.0.1:")[1].split()[0]

        yield start


def run(example: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, f"examples/{example}.py", *arguments],
        capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_projects_own_tasks_sync_and_async(serve):
    port = serve("-m", "edge_server", "--port", "0", "--workers", "2")
    said = run("one_task", "127.0.0.1", port)
    assert "ppo placed it" in said
    solution = said.split("\n")[-2]
    assert len(solution) == 81
    assert set(solution) == set("123456789")
    assert "failed" not in run("many_tasks", "127.0.0.1", port)


def test_a_task_of_ones_own(serve):
    port = serve("examples/own_server.py", "0")
    said = run("own_task", "127.0.0.1", port).split("\n")
    assert said[0].startswith("the first of its kind, placed on the device")
    assert said[-2].startswith('[["to", 40000], ["be", 40000], ')


def test_with_keys(serve, tmp_path):
    keys, phone = tmp_path / "keys", tmp_path / "phone"
    for command in (
        ["keygen", str(keys)],
        ["keygen", str(phone), "--client", "phone"],
        ["authorize", str(keys), str(phone / "phone.key")],
    ):
        assert main(command) == 0
    port = serve("-m", "edge_server", "--port", "0", "--workers", "1", "--keys", str(keys))
    (server_key,) = keys.glob("*.key")
    files = (str(phone / "phone.key_secret"), str(server_key))
    assert run("with_keys", "127.0.0.1", port, *files).startswith("edge ")
    assert main(["keygen", str(tmp_path / "stranger"), "--client", "stranger"]) == 0
    files = (str(tmp_path / "stranger" / "stranger.key_secret"), str(server_key))
    said = run("with_keys", "127.0.0.1", port, *files)
    assert said.startswith("device ")
    assert "unauthorised" in said or "is down" in said


def test_the_ten_lines_of_the_documents_are_the_example():
    program = (ROOT / "examples" / "one_task.py").read_text()
    code = program.split('"""')[2].strip()
    for document in ("README.md", "docs/library.md"):
        assert code in (ROOT / document).read_text(), document
    assert len([line for line in code.split("\n") if line.strip()]) <= 10
