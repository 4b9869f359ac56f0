"""nest-asyncio where it is needed and safe: a task of the kernel's own loop as a source, on an ipykernel before 7.1.

Runs in the environment of the lowest versions only (see ``tests/run``): newer kernels refuse it, which
``tests/test_interrupt.py`` shows.
"""

from __future__ import annotations

import time

import ipykernel
import pytest
from kernels import Kernel

TASK = """
async def slow():
    await asyncio.sleep(0.3)
    return b'from a task'
"""
ENDLESS = """
ended = []
async def endless():
    try:
        await asyncio.sleep(30)
    finally:
        ended.append(1)
"""


@pytest.fixture
def kernel(tmp_path, local_api):
    """A kernel with the extension."""
    assert (7, 1) > ipykernel.version_info[:2], "this test belongs to the environment of the lowest versions"
    environment = {"ANTHROPIC_BASE_URL": local_api.base_url, "ANTHROPIC_API_KEY": local_api.api_key}
    with Kernel(tmp_path, **environment) as started:
        started.do("%load_ext nbfiles")
        started.do("import asyncio, sys")
        yield started


def test_a_task_of_the_running_loop(kernel, local_api):
    """A task bound to the kernel's loop is waited for by re-entering it; queued cells still run, awaiting works."""
    kernel.do(TASK)
    assert False is kernel.do("'nest_asyncio' in sys.modules").value
    cells = ["task = asyncio.ensure_future(slow())\n%upload task as x --quiet", "after = 1", "after += 1"]
    sent = [kernel.send(cell) for cell in cells]
    assert ["ok", "ok", "ok"] == [kernel.result(cell).status for cell in sent]
    assert (2, True) == kernel.do("(after, 'nest_asyncio' in sys.modules)").value
    assert b"from a task" == local_api.stored_bytes(kernel.do("str(x)").value)
    assert 7 == kernel.do("await asyncio.sleep(0.01, 7)").value


def test_an_interrupt_stops_the_task(kernel):
    """Ctrl-C while the loop is re-entered cancels the task, which nest-asyncio by itself would leave running."""
    kernel.do(ENDLESS)
    cell = kernel.send("task = asyncio.ensure_future(endless())\n%upload task as x")
    time.sleep(3)  # by then the cell runs, on a busy machine too
    kernel.interrupt()
    assert "error" == kernel.result(cell).status
    assert ([1], True) == kernel.do("(ended, task.done())").value
