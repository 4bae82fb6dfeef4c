"""LZMA compression of a server log: the data decides, since the work grows with it."""

from __future__ import annotations

import lzma

from offload.tasks.task import Task

_BYTES = {"small": 100_000, "medium": 700_000, "large": 1_800_000}
_PRESET = 6
_METHODS = ("GET", "POST", "PUT", "DELETE")
_PATHS = ("users", "orders", "items", "maps", "photos", "search", "login", "metrics", "tiles")
_STATUS = (200, 200, 200, 204, 301, 304, 404, 500)
_AGENTS = ("Firefox/128.0", "Chrome/126.0", "Safari/17.5", "okhttp/4.12", "curl/8.9")


class LzmaTask(Task):
    """In: any bytes. Out: the same in an .xz container, preset 6."""

    kind = "lzma"
    max_input_bytes = 16_000_000

    def make_input(self, size: str, seed: int) -> bytes:
        """A seeded server log."""
        rng = self._rng(size, seed)
        # A log's redundancy differs from one to another: between 20 and 2000 clients a log.
        clients = rng.integers(0, 256, (int(10 ** rng.uniform(1.3, 3.3)), 4))
        wanted = _BYTES[size]
        lines: list[str] = []
        length, second = 0, 0
        while length < wanted:
            draws = rng.integers(0, 1 << 30, 6)
            second += int(draws[0] % 3)
            a, b, c, d = clients[draws[1] % len(clients)]
            lines.append(
                f"{a}.{b}.{c}.{d} - [{second // 3600 % 24:02}:{second // 60 % 60:02}:"
                f"{second % 60:02}] {_METHODS[draws[2] % 4]} "
                f"/v1/{_PATHS[draws[3] % len(_PATHS)]}/{draws[3]} "
                f"{_STATUS[draws[4] % 8]} {draws[4] % 50_000} {_AGENTS[draws[5] % 5]}\n"
            )
            length += len(lines[-1])
        return "".join(lines).encode()[:wanted]

    def _run(self, payload: bytes) -> bytes:
        return lzma.compress(payload, format=lzma.FORMAT_XZ, preset=_PRESET)

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """Must unpack to the input, and be shorter."""
        given = self.make_input(size, seed)
        if len(output) >= len(given):
            return False
        unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256_000_000)
        try:
            unpacked = unpacker.decompress(output, max_length=len(given) + 1)
        except (lzma.LZMAError, EOFError):
            return False
        return unpacker.eof and not unpacker.unused_data and unpacked == given


TASK = LzmaTask()
