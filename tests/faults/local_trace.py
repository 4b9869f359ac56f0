"""``Trace``: strace on a running process: its system calls in their order, and faults put into them."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Collection

_LINE = re.compile(r"(?:(?P<thread>\d+) +)?(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)")


class Call(NamedTuple):
    """One system call; begin and end are places in the order of everything that was seen."""

    name: str
    text: str
    begin: int
    end: int


class Trace:
    """The system calls of a process, or of one of its threads.

    Parameters
    ----------
    processes : collection of int
        The ids of processes or threads.
    calls : str
        Names of system calls, with commas.
    fault : str
        What to do to them, in strace's words, such as ``error=EIO:when=3``. It counts each thread by itself.
    threads : bool
        Whether all threads of the processes are traced.
    """

    def __init__(self, processes: Collection[int], calls: str, *, fault: str = "", threads: bool = False) -> None:
        strace = shutil.which("strace")
        assert strace, "strace is missing, and this row needs it: apt-get install strace"
        self._folder = tempfile.TemporaryDirectory()
        self._output = Path(self._folder.name) / "calls"
        self._taken = 0
        self._strace = subprocess.Popen(
            [strace, "-y", *(["-f"] if threads else []), "-o", self._output, "-e", f"trace={calls}",
             *(["-e", f"inject={calls}:{fault}"] if fault else []),
             *itertools.chain.from_iterable(("-p", str(process)) for process in processes)],
            stderr=subprocess.PIPE, text=True)  # fmt: skip
        for _ in processes:
            said = self._strace.stderr.readline()
            assert "attached" in said, said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()
        self._folder.cleanup()

    def news(self) -> str:
        """Return what was seen since the last `take`."""
        return self._output.read_text(errors="replace")[self._taken :]

    def take(self) -> str:
        """Return what was seen since the last call."""
        news = self.news()
        self._taken += len(news)
        return news

    def end(self) -> str:
        """Leave the process alone; return all that was seen."""
        if self._strace.poll() is None:
            self._strace.send_signal(signal.SIGINT)
        self._strace.communicate(timeout=20)
        return self._output.read_text(errors="replace")


def calls_in(seen: str) -> list[Call]:
    """Return the calls in what a trace saw, in the order in which they ended."""
    calls: list[Call] = []
    begun: dict[str, tuple[str, int]] = {}
    for place, line in enumerate(seen.splitlines()):
        match = _LINE.match(line)
        if match is None:  # a signal, an end
            continue
        thread, resumed, name, text = match["thread"], match["resumed"], match["name"], match["rest"]
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>"), place
            continue
        head, begin = begun.pop(thread) if resumed else ("", place)
        calls.append(Call(resumed or name, head + text, begin, place))
    return calls


def counted(seen: str) -> Counter[str]:
    """Return how often a trace saw each call."""
    return Counter(call.name for call in calls_in(seen))
