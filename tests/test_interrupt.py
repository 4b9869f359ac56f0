"""Interrupts in a real kernel: the prompt is back within a second, nothing is bound, nothing is left, work goes on."""

from __future__ import annotations

import os
import random
import socket
import time
from pathlib import Path

import pytest
from kernels import Kernel
from recorder import Recorder

ROUNDS = 200 if os.environ.get("NBFILES_TRIALS") == "full" else 20
# What is left in the kernel's process that is ours: threads, temporary files, sockets to a peer on the internet family.
PROBE = """
import os, threading, time, tempfile
def _left(wait):
    until = time.monotonic() + wait
    while True:
        threads = [t.name for t in threading.enumerate() if t.name.startswith("nbfiles-") and t.name != "nbfiles-loop"]
        files = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("nbfiles-")]
        if not (threads or files) or time.monotonic() > until:
            return threads + files
        time.sleep(0.02)
def _sockets():
    found = 0
    for handle in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{handle}").startswith("socket:")
        except OSError:
            pass
    return found
"""
BIG = """
import nbfiles
with open("big.bin", "wb") as file:
    file.truncate(300_000_000)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, shared_api):
    """A kernel with the extension, a bound name, and a frame that takes seconds to write."""
    folder = tmp_path_factory.mktemp("kernel")
    environment = {"ANTHROPIC_BASE_URL": shared_api.base_url, "ANTHROPIC_API_KEY": shared_api.api_key}
    with Kernel(folder, **environment) as started:
        started.do("%load_ext nbfiles")
        started.do(PROBE)
        started.do(BIG)
        started.do("import pandas as pd, numpy as np, os")
        started.do("frame = pd.DataFrame(np.random.default_rng(0).random((2_000_000, 10)))")
        # Whatever a first upload imports is imported, and the private loop of coroutines has its sockets.
        started.do("async def warm():\n    return b'warm'\n\n%upload warm() as x --quiet")
        started.do("use = lambda url: os.environ.__setitem__('ANTHROPIC_BASE_URL', url)")
        yield started


def interrupted(kernel: Kernel, line: str, ready, wait: float = 1.0) -> None:
    """Run `line`, interrupt it once `ready()`, and see that everything is as before."""
    kernel.do("x = 'old'; before = _sockets()")
    cell = kernel.send(line)
    ready()
    at = kernel.interrupt()
    ran = kernel.result(cell)
    assert time.monotonic() - at < 1.0
    assert ("error", "KeyboardInterrupt: ") == (ran.status, ran.error)
    left = kernel.do(f"(x, _left({wait}), _sockets() <= before)").value
    assert ("old", [], True) == left


def again(kernel: Kernel, shared_api) -> None:
    """See that the next upload works."""
    kernel.do(f"use({shared_api.base_url!r})")
    assert kernel.do("%upload b'again' as x --quiet\nx.metadata.size_bytes").value == 5


def soon(seconds: float = 0.5):
    return lambda: time.sleep(seconds)


def test_while_a_frame_is_written(kernel, shared_api):
    """Ctrl-C while a frame is encoded leaves no temporary file."""

    def ready() -> None:
        until = time.monotonic() + 10
        while not any(Path(kernel.tmp).glob("nbfiles-*")) and time.monotonic() < until:
            time.sleep(0.005)

    interrupted(kernel, "%upload frame as x", ready)
    again(kernel, shared_api)


def test_while_connecting(kernel, shared_api):
    """Ctrl-C while a connection is being made gives the prompt back; the thread ends within its timeout of 5 s."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        kernel.do(f"use('http://127.0.0.1:{full.getsockname()[1]}')")
        interrupted(kernel, "%upload big.bin as x", soon(), wait=7)
        for filler in fillers:
            filler.close()
    again(kernel, shared_api)


def test_while_sending(kernel, shared_api):
    """Ctrl-C while a server takes no more bytes."""
    with Recorder(deaf=True) as server:
        kernel.do(f"use({server.url!r})")
        interrupted(kernel, "%upload big.bin as x", lambda: server.reached.wait(10) and time.sleep(0.3))
    again(kernel, shared_api)


def test_while_waiting_for_the_answer(kernel, shared_api):
    """Ctrl-C while a server that has everything does not answer."""
    with Recorder() as server:
        kernel.do(f"use({server.url!r})")
        interrupted(kernel, "%upload b'hello' as x", lambda: server.reached.wait(10))
        assert 1 == len(server.requests)
    again(kernel, shared_api)


def test_while_a_coroutine_runs(kernel, shared_api):
    """Ctrl-C while a source is awaited cancels it."""
    kernel.do(
        "import asyncio\nended = []\nasync def slow():\n    try:\n        await asyncio.sleep(30)\n"
        "    except asyncio.CancelledError:\n        ended.append(1); raise"
    )
    interrupted(kernel, "%upload slow() as x", soon())
    assert [1] == kernel.do("ended").value
    again(kernel, shared_api)


def test_at_any_moment(kernel, shared_api):
    """Whenever Ctrl-C comes, the name holds the old value or the whole new one, and nothing is left behind."""
    chance = random.Random(7)
    kernel.do(f"use({shared_api.base_url!r})")
    for _ in range(ROUNDS):
        kernel.do("x = 'old'")
        cell = kernel.send("%upload big.bin as x --quiet")
        time.sleep(chance.uniform(0, 1.2))
        at = kernel.interrupt()
        ran = kernel.result(cell)
        assert time.monotonic() - at < 1.5 or ran.status == "ok"
        bound, left = kernel.do("(x if x == 'old' else x.metadata.size_bytes, _left(6))").value
        assert [] == left
        assert bound in {"old", 300_000_000}
    again(kernel, shared_api)


def test_cells_behind_an_upload_run(kernel, shared_api):
    """Run All: what is queued behind uploads and awaited sources runs; behind an error it does not."""
    kernel.do("async def quick():\n    await asyncio.sleep(0.2)\n    return b'quick'")
    cells = ["%upload quick() as a --quiet", "after = 1", "%upload b'x' as b --quiet", "after += 1"]
    sent = [kernel.send(cell) for cell in cells]
    assert ["ok"] * 4 == [kernel.result(cell).status for cell in sent]
    assert 2 == kernel.do("after").value
    sent = [kernel.send("%upload nowhere.csv as a"), kernel.send("after = 'ran'")]
    first, second = (kernel.result(cell) for cell in sent)
    assert ("error", "aborted") == (first.status, second.status)
    assert first.error.startswith("UsageError: there is no file nowhere.csv")
    assert "Traceback" not in first.traceback + first.printed
    assert 2 == kernel.do("after").value


def test_a_task_of_the_kernels_own_loop(kernel):
    """On ipykernel 7.1 and later a task of the kernel's loop cannot be waited for: one line says what to do."""
    kernel.do("task = asyncio.ensure_future(quick())")
    ran = kernel.run("%upload task as y")
    assert "error" == ran.status
    assert "Await it in the cell first" in ran.error
    assert 5 == kernel.do("done = await task\n%upload done as y --quiet\ny.metadata.size_bytes").value
