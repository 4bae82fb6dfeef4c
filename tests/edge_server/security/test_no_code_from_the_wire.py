"""No pickle, no eval, no path, no import, no program from the wire: watched from inside.

Server, workers and client run with hooks (wire_watch) that see every use of pickle, and every
import, compilation, file or program whose name holds what was sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from edge_server.client import EdgeClient
from edge_server.protocol import Done, Failed, Ping, Run, Times, encode, new_task_id
from offload.errors import OffloadError
from offload.tasks import KINDS
from offload.types import TaskInstance

ROOT = Path(__file__).parents[3]
CANARY = "canary7f3a"


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return (os.mkdir, (str(self._path),))


def payloads(folder: Path) -> list[bytes]:
    return [
        pickle.dumps(Bomb(folder / CANARY)),
        pickle.dumps([CANARY, 1, 2.0]),
        f"__import__('os').mkdir('{folder / CANARY}')".encode(),
        f"{CANARY}.py".encode(),
        f"{folder}/../{CANARY}".encode(),
        f"!!python/object/apply:os.mkdir ['{CANARY}']".encode(),
        b"\x80\x04c" + f"{CANARY}\nloads\n.".encode(),
    ]


class Watch:
    """What the hooks have written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "watch.jsonl"
        (folder / "hooks").mkdir()
        shutil.copy(Path(__file__).with_name("wire_watch.py"), folder / "hooks/sitecustomize.py")

    def popen(self, *words: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder / "hooks"), str(ROOT)]),
            "WIRE_WATCH": str(self._path),
            "WIRE_CANARY": CANARY,
        }
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def serving(self, *words: str) -> Iterator[int]:
        """A server that says its port; ended with SIGTERM."""
        with self.popen(*words) as process:
            assert process.stdout is not None
            try:
                line = process.stdout.readline()
                yield int(line.split(":")[2].split()[0])
            finally:
                process.terminate()
                process.communicate(timeout=20)

    def seen(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [(what, detail) for _, what, detail in lines if what != "start"]

    def started(self) -> str:
        return "\n".join(
            detail
            for _, what, detail in map(json.loads, self._path.read_text().splitlines())
            if what == "start"
        )


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def send_everything(port: int, kinds: tuple[str, ...], folder: Path) -> int:
    """Every hostile payload to every kind, as headers too; how many answers came."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.IDENTITY, CANARY.encode())
        dealer.connect(f"tcp://127.0.0.1:{port}")
        answers = 0
        for number, kind in enumerate(kinds, 1):
            for index, payload in enumerate(payloads(folder)):
                run = Run(number * 100 + index, kind, 60_000, new_task_id())
                dealer.send_multipart([encode(run), payload])
                dealer.send_multipart([payload, encode(run)])
                dealer.send_multipart([encode(Ping(1))[:5] + payload, payload])
                for _ in range(3):
                    assert dealer.poll(60_000)
                    dealer.recv_multipart()
                    answers += 1
        return answers


def test_a_server_and_its_workers(watch):
    hostile = (CANARY, f"os.{CANARY}", f"offload.tasks.{CANARY}")
    with watch.serving("-m", "edge_server", "--port", "0", "--workers", "1") as port:
        kinds = (*KINDS, *hostile)
        assert send_everything(port, kinds, watch.folder) == 21 * len(kinds)
    assert "-m edge_server --port" in watch.started()
    assert "-m edge_server.worker" in watch.started()
    assert watch.seen() == []
    assert not (watch.folder / CANARY).exists()


def test_a_client(watch):
    script = """
import sys
from edge_server.client import EdgeClient
from offload.errors import OffloadError
from offload.types import TaskInstance
refused = 0
for number in range(24):
    with EdgeClient(port=int(sys.argv[1])) as client:
        try:
            client.execute(TaskInstance("echo", "small", 0), b"", 5.0)
        except OffloadError:
            refused += 1
print(refused)
"""
    times = Times(0.0, 0.0, CANARY)

    def replies(number: int, request_id: int) -> list[bytes]:
        payload = payloads(watch.folder)[number % 7]
        done, text = encode(Done(request_id, times)), payload.decode(errors="replace")
        failed = encode(Failed(request_id, "task_failed", text[:300], times))  # type: ignore[arg-type]
        return [[done, payload], [payload, b""], [failed, payload], [done[:5] + payload, payload]][
            number // 6 % 4
        ]

    with _fake_server(replies) as port, watch.popen("-c", script, str(port)) as process:
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("18\n", "")  # the first six were answers: bytes, and nothing but bytes
    assert watch.seen() == []
    assert not (watch.folder / CANARY).exists()


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("pickle.loads(payload)", "pickle"),
        ("pickle.loads(payload)", "pickle.find_class"),
        ("eval(payload)", "compile"),
        ("importlib.import_module(payload.decode())", "import hook"),
        ("open(payload)", "open"),
        ("subprocess.run([payload])", "subprocess.Popen"),
    ],
)
def test_the_hooks_see_a_task_that_does_what_none_may(watch, code, what):
    (watch.folder / "hooks/unsafe_tasks.py").write_text(
        "import importlib, pickle, subprocess\n"
        f"def run_task(kind, payload):\n    payload = bytes(payload)\n    {code}\n    return b''\n"
    )
    script = """
import unsafe_tasks
from edge_server.config import ServerConfig
from edge_server.server import EdgeServer
with EdgeServer(ServerConfig(port=0, workers=1), run_task=unsafe_tasks.run_task) as server:
    server.stop_on_signals()
    server.start()
    print(server.endpoint, flush=True)
    server.serve()
"""
    bomb = pickle.dumps(Bomb(watch.folder / CANARY))
    payload = bomb if "pickle" in what else CANARY.encode()
    with (
        watch.serving("-c", script) as port,
        EdgeClient(port=port) as client,
        contextlib.suppress(OffloadError),
    ):
        client.execute(TaskInstance("any", "small", 0), payload, 20.0)
    assert what in {seen for seen, _ in watch.seen()}


@contextlib.contextmanager
def _fake_server(replies: Callable[[int, int], list[bytes]]) -> Iterator[int]:
    """Answers the n-th task with ``replies(n, id)``, and nothing else."""
    stop = threading.Event()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.LINGER, 0)
        port = router.bind_to_random_port("tcp://127.0.0.1")

        def serve() -> None:
            from edge_server.protocol import decode_request

            number = 0
            while not stop.is_set():
                if router.poll(20):
                    peer, header, _ = router.recv_multipart()
                    request = decode_request(header)
                    if isinstance(request, Run):
                        router.send_multipart([peer, *replies(number, request.id)])
                        number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join()
