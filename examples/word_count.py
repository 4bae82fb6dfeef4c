"""A task of one's own: what server and device run for the kind ``word-count``.

A task is bytes in, bytes out. Both sides import this module; the bytes are all that travels.
"""

import json
import re
from collections import Counter

from offload.errors import TaskError

MOST_BYTES = 10_000_000


def run_task(kind: str, payload: bytes) -> bytes:
    """Count the words of a text; the ten most frequent as JSON.

    Raises:
        TaskError: another kind, or no text: the sender is told so.
    """
    if kind != "word-count":
        raise TaskError(f"no task {kind!r} here; word-count is the only one")
    if len(payload) > MOST_BYTES:
        raise TaskError(f"a text of {len(payload)} bytes; at most {MOST_BYTES} are taken")
    try:
        words = re.findall(r"\w+", payload.decode().lower())
    except UnicodeDecodeError as error:
        raise TaskError(f"the text is not UTF-8: {error}") from error
    return json.dumps(Counter(words).most_common(10)).encode()
