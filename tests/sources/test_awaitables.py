"""Awaitables: waited for without a deadlock, stopped by Ctrl-C, and no loop is patched that would not survive it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

from nbfiles import sources
from nbfiles._errors import InputError
from nbfiles.sources import _awaitables, await_


async def give(value=b"given"):
    await asyncio.sleep(0.001)
    return value


def test_coroutine(send):
    """A coroutine is taken for what it gives, named after the variable."""
    arrived = send(give(), label="job()")
    assert ("job.txt", b"given") == (arrived.name, arrived.content)


def test_coroutine_of_a_list(send_many):
    """A coroutine that gives a list binds a list."""
    assert 2 == len(send_many(give([b"1", b"2"])))


def test_awaitables_in_a_list(send_many):
    """Coroutines may be members of a list."""
    assert [b"1", b"2"] == [each.content for each in send_many([give(b"1"), give(b"2")])]


def test_object_with_await():
    """An object with __await__ is awaited, and so is a generator-based coroutine."""

    class Job:
        def __await__(self):
            return give().__await__()

    @types.coroutine
    def old():
        yield from asyncio.sleep(0.001).__await__()
        return 3

    assert [b"given", 3] == [await_(Job()), await_(old())]


def test_inside_a_running_loop():
    """A coroutine runs on the private loop while the cell's own loop is running, and the loop is not patched."""

    async def cell():
        return await_(give())

    assert b"given" == asyncio.run(cell())
    assert not hasattr(asyncio, "_nest_patched")
    assert "nest_asyncio" not in sys.modules


def test_error_of_a_coroutine():
    """What a coroutine raises comes out as it was."""

    async def fail():
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        await_(fail())


def test_cancelled_coroutine():
    """A coroutine that was cancelled is an error in words, not a bare CancelledError."""

    async def give_up():
        raise asyncio.CancelledError

    with pytest.raises(InputError, match="has been cancelled"):
        await_(give_up())


def test_one_private_loop():
    """All coroutines share one daemon thread."""

    async def where():
        return threading.current_thread()

    first, second = await_(where()), await_(where())
    assert first is second
    assert (True, "nbfiles-loop") == (first.daemon, first.name)


def test_waiting_on_the_private_loop_itself():
    """Waiting inside the private loop for what it should run is refused and cannot hang."""

    async def outer():
        inner = give()
        try:
            await_(inner)
        finally:
            inner.close()

    with pytest.raises(InputError, match="Await it first"):
        await_(outer())


def test_done_task():
    """A task that is done gives its result, even while its loop is running."""

    async def cell():
        task = asyncio.ensure_future(give())
        await task
        return await_(task)

    assert b"given" == asyncio.run(cell())


def test_future_of_a_resting_loop():
    """A future of a loop at rest is run there."""
    loop = asyncio.new_event_loop()
    try:
        assert b"given" == await_(loop.create_task(give()))
    finally:
        loop.close()


def test_future_of_another_thread():
    """A task of a loop that runs in another thread is waited for over there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def make():
        return asyncio.ensure_future(give())

    try:
        task = asyncio.run_coroutine_threadsafe(make(), loop).result(5)
        assert b"given" == await_(task)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_foreign_future_inside_a_coroutine():
    """A coroutine that waits for the notebook's own task is refused in one line, not left to hang."""

    async def cell():
        task = asyncio.ensure_future(asyncio.sleep(30))

        async def wraps():
            await task

        try:
            with pytest.raises(InputError, match="Await it in the cell first"):
                await_(wraps())
        finally:
            task.cancel()

    asyncio.run(cell())


@pytest.mark.parametrize(
    ("version", "kernel", "expected"),
    [
        ((7, 4, 0), True, False),
        ((7, 1, 0), True, False),
        ((7, 0, 1), True, True),
        ((6, 31, 0), True, True),
        ((7, 4, 0), False, True),
    ],
)
def test_safe_hosts(monkeypatch, version, kernel, expected):
    """A loop is re-entered on ipykernel before 7.1 and on plain hosts, and nowhere else."""
    app = types.SimpleNamespace(IPKernelApp=types.SimpleNamespace(initialized=lambda: kernel))
    monkeypatch.setitem(sys.modules, "ipykernel", types.SimpleNamespace(version_info=version))
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", app)
    assert expected is _awaitables._may_reenter()


def test_task_on_an_unsafe_host(monkeypatch):
    """A running task of the notebook's own loop is refused on ipykernel 7.1 and later; nothing is patched."""
    app = types.SimpleNamespace(IPKernelApp=types.SimpleNamespace(initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "ipykernel", types.SimpleNamespace(version_info=(7, 4, 0)))
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", app)

    async def cell():
        task = asyncio.ensure_future(give())
        with pytest.raises(InputError, match="Await it in the cell first: x = await task"):
            sources.payloads(task)
        return await task

    assert b"given" == asyncio.run(cell())
    assert not hasattr(asyncio, "_nest_patched")


def run(code):
    """Run `code` in a process of its own and return what it printed; nest-asyncio patches for good."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert ("", 0) == (done.stderr, done.returncode)
    return done.stdout.split()


def test_task_on_a_plain_host():
    """On a plain asyncio host a running task is waited for by re-entering the loop."""
    code = """
import asyncio, sys
from nbfiles import sources
print("nest_asyncio" in sys.modules)
async def give():
    await asyncio.sleep(0.01)
    return b"given"
async def cell():
    with sources.payloads(asyncio.ensure_future(give())) as made:
        print(b"".join(made.items[0].chunks()).decode(), "nest_asyncio" in sys.modules)
asyncio.run(cell())
"""
    assert ["False", "given", "True"] == run(code)


INTERRUPTED = """
import asyncio, os, signal, sys, threading, time
from nbfiles import sources
async def slow():
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        await asyncio.sleep(0.05)
        print("cleaned")
        raise
def interrupt():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
async def cell():
    threading.Thread(target=interrupt).start()
    source = asyncio.ensure_future(slow()) if sys.argv[-1] == "task" else slow()
    start = time.monotonic()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sources.payloads(source)
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - start < 1.3)
asyncio.run(cell())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to oneself is POSIX")
@pytest.mark.parametrize("form", ["coroutine", "task"])
def test_interrupt(form):
    """Ctrl-C while waiting cancels the coroutine, lets it clean up, and is back within a second."""
    assert ["cleaned", "interrupted", "True"] == run(f"import sys; sys.argv.append({form!r})\n{INTERRUPTED}")


def test_interrupt_leaves_the_loop_usable():
    """After an interrupted wait the next coroutine runs."""
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        await_(asyncio.sleep(30))
    timer.join()
    assert time.monotonic() - start < 1.5
    assert b"given" == await_(give())
