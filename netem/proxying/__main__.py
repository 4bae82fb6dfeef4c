"""``python -m netem.proxying OWNER``: forward and shape until standard input ends, or the owner.

Orders come on standard input and are answered on standard output, see :mod:`.messages`.

    OWNER   pid of the process that started it; when another has become the parent, it is dead
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import sys
import threading

import msgspec

from netem.proxying.connections import Proxy
from netem.proxying.messages import Answer, Count, Failed, Forward, Forwarded, Order, Settings

_WATCH_S = 0.25


async def carry_out(proxy: Proxy, line: bytes) -> Answer:
    """Carry out one order."""
    try:
        order: Order = msgspec.json.decode(line, type=Order)
        if isinstance(order, Settings):
            return proxy.apply(order)
        if isinstance(order, Forward):
            return Forwarded(await proxy.forward(order.port))
        assert isinstance(order, Count)
        return proxy.count()
    except (msgspec.MsgspecError, OSError) as error:
        return Failed(str(error))


async def serve(owner: int) -> None:
    """Answer orders until there are no more, or nobody to give them."""
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:  # in a thread: not every system can wait for a pipe and sockets at once
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(orders.put_nowait, line)
        os._exit(0)

    def watch() -> None:  # a fork of the owner's may hold the pipe open
        if os.name == "posix" and os.getppid() != owner:
            os._exit(0)
        loop.call_later(_WATCH_S, watch)

    threading.Thread(target=read, daemon=True).start()
    watch()
    proxy = Proxy()
    while True:
        answer = await carry_out(proxy, await orders.get())
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


def exact_loop() -> asyncio.AbstractEventLoop:
    """An event loop on select(): epoll rounds its timeouts up to a millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main(owner: int) -> None:
    """Run until the owner is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which then ends us
    # Real-time priority where there is such a thing and it is allowed, as the other emulators have.
    with contextlib.suppress(AttributeError, PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with asyncio.Runner(loop_factory=exact_loop) as runner:
        runner.run(serve(owner))


if __name__ == "__main__":
    main(int(sys.argv[1]))
