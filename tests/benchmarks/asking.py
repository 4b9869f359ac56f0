"""``asked``: a kernel that is asked ten times a second over a connection of its own, and how long each answer took."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_client import BlockingKernelClient

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 0.1  # seconds
LIMIT = 60  # seconds for one answer


@contextmanager
def asked(connection: str) -> Iterator[list[float]]:
    """Run ``1 + 1`` in the kernel of the connection file `connection`, ten times a second, from another process.

    Another one, because this one drives the browser and would keep the answers waiting. The list that is given is
    filled at the end: milliseconds from the request to the reply.
    """
    times: list[float] = []
    command = [sys.executable, __file__, connection]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("nobody asks the kernel")
        yield times
        said, _ = process.communicate()
    times += json.loads(said)


def main(connection: str) -> None:
    """Ask until standard input ends; then print the times as JSON."""
    client = BlockingKernelClient(connection_file=connection)
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=LIMIT)
    print("ready", flush=True)
    times = []
    pause = 0.0
    while not select.select([sys.stdin], [], [], pause)[0]:
        start = time.perf_counter()
        client.execute("1 + 1", silent=False, store_history=False, reply=True, timeout=LIMIT)
        took = time.perf_counter() - start
        times.append(1000 * took)
        pause = max(0.0, EVERY - took)
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1])
