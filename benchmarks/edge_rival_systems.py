"""Other ways to have a function run in worker processes, each as good as its makers say.

Every one gets the same number of worker processes, the same function and the loopback, and is used
through its own public client. Each context manager gives a :data:`Run`, which any thread may call.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

from benchmarks.edge_load import HOST, EdgeWire, run_task, running_server
from edge_server.client import EdgeClient
from offload.types import TaskInstance

ROOT = Path(__file__).resolve().parents[1]
Entered = TypeVar("Entered")
Run = Callable[[str, bytes], bytes]
"""Has the task of that kind run on that payload, and waits for its output."""
OURS = "this server"
_BUDGET_S = 60.0
_GRPC_METHOD = "/offload.Edge/Run"
_GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", 2**26),
    ("grpc.max_send_message_length", 2**26),
]


@contextmanager
def _one_a_thread(
    make: Callable[[], AbstractContextManager[Entered]],
) -> Iterator[Callable[[], Entered]]:
    """Gives each thread that asks a thing of its own, made when first asked for."""
    own = threading.local()
    lock = threading.Lock()
    with ExitStack() as stack:

        def mine() -> Entered:
            if not hasattr(own, "thing"):
                thing = make()
                with lock:
                    own.thing = stack.enter_context(thing)
            return cast(Entered, own.thing)

        yield mine


@contextmanager
def edge_server(workers: int) -> Iterator[Run]:
    """This project's server, through its client; a connection a thread."""
    with (
        running_server(workers=workers) as port,
        _one_a_thread(lambda: EdgeClient(HOST, port)) as client,
    ):
        yield (
            lambda kind, payload: (
                client().execute(TaskInstance(kind, "small", 0), payload, _BUDGET_S).output
            )
        )


@contextmanager
def bare_protocol(workers: int) -> Iterator[Run]:
    """This project's server without its client's care: a plain socket a thread, no deadline."""
    with (
        running_server(workers=workers) as port,
        _one_a_thread(lambda: EdgeWire(port)) as wire,
    ):
        yield lambda kind, payload: bytes(wire().run(kind, payload))


def _grpc_worker(pipe: Connection) -> None:
    while True:
        try:
            kind = pipe.recv_bytes().decode()
            pipe.send_bytes(run_task(kind, pipe.recv_bytes()))
        except EOFError:
            return


def _grpc_server(workers: int, port: Connection) -> None:
    """gRPC's own threads, each of which hands its call to an idle worker over a pipe."""
    import grpc

    spawn = multiprocessing.get_context("spawn")
    idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
    for _ in range(workers):
        ours, theirs = spawn.Pipe()
        spawn.Process(target=_grpc_worker, args=(theirs,), daemon=True).start()
        theirs.close()
        idle.put(ours)

    def run(request: bytes, context: Any) -> bytes:
        kind, _, payload = request.partition(b"\0")
        pipe = idle.get()
        try:
            pipe.send_bytes(kind)
            pipe.send_bytes(payload)
            return pipe.recv_bytes()
        finally:
            idle.put(pipe)

    handler = grpc.method_handlers_generic_handler(
        "offload.Edge", {"Run": grpc.unary_unary_rpc_method_handler(run)}
    )
    server = grpc.server(ThreadPoolExecutor(16), handlers=[handler], options=_GRPC_OPTIONS)
    number = server.add_insecure_port(f"{HOST}:0")
    server.start()
    port.send(number)
    server.wait_for_termination()


@contextmanager
def grpc_workers(workers: int) -> Iterator[Run]:
    """gRPC: a server process of threads, bytes as they are, worker processes over pipes."""
    import grpc

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_grpc_server, args=(workers, theirs))
    process.start()
    theirs.close()
    try:
        with grpc.insecure_channel(f"{HOST}:{ours.recv()}", options=_GRPC_OPTIONS) as channel:
            call = channel.unary_unary(_GRPC_METHOD)
            yield lambda kind, payload: call(kind.encode() + b"\0" + payload)
    finally:
        process.terminate()
        process.join()


@contextmanager
def ray_actors(workers: int) -> Iterator[Run]:
    """Ray: an actor a worker on one node, called by turns, its result fetched."""
    from offload.ray_connection import connect_ray

    if importlib.util.find_spec("ray") is None:
        raise ModuleNotFoundError("no ray", name="ray")

    class Worker:
        def run(self, kind: str, payload: bytes) -> bytes:
            return run_task(kind, payload)

    with subprocess.Popen(
        [sys.executable, "scripts/local_ray_cluster.py", "--nodes", "1", "--cpus", str(workers)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as cluster:
        assert cluster.stdout is not None
        told = dict(line.split()[:2] for line in iter(cluster.stdout.readline, "ready\n"))
        ray = connect_ray(told["address"], workers)
        try:
            actors: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for _ in range(workers):
                actors.put(ray.remote(num_cpus=1)(Worker).remote())

            def run(kind: str, payload: bytes) -> bytes:
                actor = actors.get()
                actors.put(actor)
                output: bytes = ray.get(actor.run.remote(kind, payload))
                return output

            yield run
        finally:
            ray.shutdown()
            cluster.communicate()  # the end of its input ends it


@contextmanager
def dask_cluster(workers: int) -> Iterator[Run]:
    """Dask: a scheduler and one-threaded workers, a submit and its result."""
    from distributed import Client, LocalCluster

    os.environ["PYTHONPATH"] = str(ROOT)
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=HOST,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):

        def run(kind: str, payload: bytes) -> bytes:
            output: bytes = client.submit(run_task, kind, payload, pure=False).result()
            return output

        yield run


@contextmanager
def process_pool(workers: int) -> Iterator[Run]:
    """concurrent.futures.ProcessPoolExecutor: no network, no server; a submit and its result."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        yield lambda kind, payload: pool.submit(run_task, kind, payload).result()


RIVALS: dict[str, Callable[[int], AbstractContextManager[Run]]] = {
    "its bare protocol": bare_protocol,
    "gRPC + workers": grpc_workers,
    "Ray actors": ray_actors,
    "Dask submit": dask_cluster,
    "ProcessPoolExecutor": process_pool,
}


@contextmanager
def beside_ours(name: str, workers: int) -> Iterator[dict[str, Run]]:
    """This server under :data:`OURS` and one other under its name, and nothing else.

    What Ray and Dask keep running in the background would hold up whatever is measured beside them.

    Raises:
        ImportError: the other is not installed.
    """
    with RIVALS[name](workers) as other, edge_server(workers) as ours:
        yield {OURS: ours, name: other}
