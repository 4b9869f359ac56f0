"""P4: how long the event loop of a real kernel is held while 500 MB are awaited in it over https.

A coroutine on the loop sleeps for 1 ms again and again; the longest time between two of its turns is the figure, with
nothing taken off. Each upload has a kernel of its own, which may run on every core, as a person's does. It follows an
upload of 1 MiB, whose imports hold the loop once; that first figure is shown beside it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .clients import KEY
from .large import LARGE
from .report import Row, row

sys.path.insert(0, str(Path(__file__).parents[1]))

from kernels import Kernel

if TYPE_CHECKING:
    from .measure import Bench, Sink

_WATCH = """
import asyncio, time

async def longest(work):
    '''Await `work`; return the milliseconds for which the loop was held at the longest.'''
    gaps = []

    async def tick():
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - last)
            last += gaps[-1]

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    gaps.clear()
    await work
    await asyncio.sleep(0.01)
    ticking.cancel()
    return 1000 * max(gaps)
"""
_OURS = """
%load_ext nbfiles
%config NbFiles.ca_bundle = {ca!r}
upload = nbfiles.upload_async
"""
_SDK = """
import ssl, pathlib
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
client = AsyncAnthropic(
    max_retries=0, timeout=600, http_client=DefaultAsyncHttpxClient(verify=ssl.create_default_context(cafile={ca!r}))
)
upload = lambda path: client.beta.files.upload(file=pathlib.Path(path))
"""


def rows(bench: Bench, size: int = LARGE) -> list[Row]:
    """Measure P4."""
    setups = {"nbfiles": "import nbfiles" + _OURS, "async SDK": _SDK}
    with bench.sink("https") as sink:
        taken = bench.turns("P4", {name: partial(_held, bench, sink, setup, size) for name, setup in setups.items()})
    longest = {name: statistics.median(held for _, held in each) for name, each in taken.items()}
    first = {name: statistics.median(held for held, _ in each) for name, each in taken.items()}
    ours, ours_first = longest.pop("nbfiles"), first.pop("nbfiles")
    return [
        row("P4 500 MB awaited in a kernel: loop held at most", ours, "ms", most=10, peers=longest, note=sink.note),
        row("P4 for comparison: by the kernel's first upload", ours_first, "ms", peers=first),
    ]


def _held(bench: Bench, sink: Sink, setup: str, size: int) -> tuple[float, float]:
    """Return how long the first upload of a new kernel held its loop, and one of `size` bytes; milliseconds."""
    sink.report()
    files = [bench.warm, bench.sample(size)]
    environment = {"ANTHROPIC_BASE_URL": sink.url, "ANTHROPIC_API_KEY": KEY}
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder, Kernel(Path(folder), **environment) as kernel:
        kernel.do(_WATCH)
        kernel.do(setup.format(ca=bench.ca))
        first, held = (kernel.do(f"await longest(upload({str(path)!r}))").value for path in files)
    came = sink.report()
    if (came["files"], came["bytes"]) != (2, sum(path.stat().st_size for path in files)):
        raise AssertionError("not every byte came from the kernel")
    return first, held
