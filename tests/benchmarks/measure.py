"""A measurement: one run of a client in a process of its own, against a sink in another, as ``Figures``.

The parent's half starts a `Sink` and runs clients against it; the child's half, `window`, is what a client's process
does around its work. The window begins when everything is imported and 1 MiB has been uploaded, and holds a new client
object, its connection, and the upload; so nobody pays for starting Python. Sink and clients run on different cores.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from .memory import MIB, Peak
from .samples import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
_SINK_CORE = _CORES[-1] if len(_CORES) > 1 else None
_BUSY = 0.03  # of the machine's CPU time: what others may take before a figure is doubted
_LIMIT = 600  # seconds that one run may take


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run cost.

    Parameters
    ----------
    wall : float
        Seconds.
    cpu : float
        Seconds of the client's process, user and system.
    memory : float
        MiB by which the peak of its resident size grew over that of an upload of 1 MiB. Of a program that is nothing
        but this upload (curl): the whole peak.
    sink : float
        Seconds of CPU time that the sink took, start and first upload of the client included.
    """

    wall: float
    cpu: float
    memory: float
    sink: float = 0.0

    @classmethod
    def median(cls, runs: Sequence[Figures]) -> Figures:
        """Return the median of each figure."""
        return cls(*(statistics.median(column) for column in zip(*(asdict(run).values() for run in runs), strict=True)))


# ---- the child's half ------------------------------------------------------------------------------------------------


def window(work: Callable[[], object]) -> Figures:
    """Do `work`, and return what it cost this process."""
    peak = Peak()
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return Figures(wall, cpu_time(after) - cpu_time(before), peak.growth() / MIB)


def cpu_time(usage: resource.struct_rusage) -> float:
    """Return user and system time in seconds."""
    return usage.ru_utime + usage.ru_stime


# ---- the parent's half -----------------------------------------------------------------------------------------------


class Sink:
    """The sink as a process of its own, alone on its core. Use with ``with``.

    Parameters
    ----------
    *options : str
        For its command line.

    Attributes
    ----------
    url : str
    note : str
        After the end: what to know of the figures, if others were using the machine meanwhile; else empty.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self.note = ""

    def __enter__(self) -> Self:
        self._others = Others()
        with _on({_SINK_CORE} if _SINK_CORE is not None else None):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.sink", *self._options],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sink did not start")
        self.url = json.loads(line)["base_url"]
        return self

    def __exit__(self, *exception: object) -> None:
        with self._process:
            self._process.stdin.close()
        taken = self._others.share()
        if taken > _BUSY:
            self.note = f"machine was not idle: others took {taken:.0%} of it"

    def report(self) -> dict[str, float]:
        """Return the files and bytes that came since the last report, and the CPU time they took."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Others:
    """What other processes take of the machine's CPU time from now on. Own ones count as own once they have ended.

    Interrupts are nobody's: the loopback device does its work in them.
    """

    def __init__(self) -> None:
        self._time, self._busy, self._own = time.monotonic(), _busy(), _own()

    def share(self) -> float:
        """Return what they took, of all cores."""
        taken = (_busy() - self._busy) - (_own() - self._own)
        return max(0.0, taken) / ((time.monotonic() - self._time) * os.cpu_count())


def _busy() -> float:
    """Return the seconds that all cores have spent in processes (user, nice, system) or were not given at all."""
    fields = Path("/proc/stat").read_text("ascii").split(maxsplit=9)
    return sum(int(fields[at]) for at in (1, 2, 3, 8)) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    return sum(cpu_time(resource.getrusage(whose)) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@contextmanager
def _on(cores: set[int] | None) -> Iterator[None]:
    """Have processes that are started here run on `cores` only; None: wherever they like."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Bench:
    """The place where one call measures: a folder for files, a certificate, and how thoroughly to work.

    Use with ``with``; the folder goes with it.

    Parameters
    ----------
    verify : bool, default False
        Whether the sink compares every byte.
    repeat : int, default 5
        Repetitions; their median counts.
    short : bool, default False
        Whether what is only there to be looked at is left out.
    """

    def __init__(self, *, verify: bool = False, repeat: int = 5, short: bool = False) -> None:
        self.verify = verify
        self.repeat = repeat
        self.short = short
        self.figures: dict[str, dict[str, Figures]] = {}  # of each measurement, of each client

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="nbfiles-benchmark-")
        self.folder = Path(self._folder.name)
        self.warm = sample(self.folder, MIB)
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.cleanup()

    @cached_property
    def ca(self) -> str:
        """The PEM file of a certificate authority of our own, beside which lies what it says the sink is."""
        import trustme  # here, so that clients, which share this module, do not carry it

        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.folder / "sink.pem")
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        return str(self.folder / "ca.pem")

    def sample(self, size: int) -> Path:
        """Return a file of `size` bytes, the same at every call."""
        return next(self.folder.glob(f"*-{size}.bin"), None) or sample(self.folder, size)

    def samples(self, count: int, size: int) -> list[Path]:
        """Return `count` different files of `size` bytes."""
        folder = self.folder / f"{count}-{size}"
        if not folder.exists():
            folder.mkdir()
            for number in range(count):
                sample(folder, size, number)
        return sorted(folder.iterdir())

    def sink(self, scheme: str, *options: str) -> Sink:
        """Return a sink that speaks `scheme`, http or https; see its command line for `options`."""
        tls = ["--certificate", str(Path(self.ca).with_name("sink.pem"))] if scheme == "https" else []
        return Sink(*tls, *(["--verify"] if self.verify else []), *options)

    def environment(self) -> dict[str, str]:
        """Return the environment of a client: nothing of the person's, and a ledger that nobody has written to."""
        # Without bytecode every process would compile this package anew, and no other: pip compiles what it installs.
        strange = ("ANTHROPIC_", "NBFILES_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_", "PYTHONDONTWRITEBYTECODE")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(strange) and not name.lower().endswith("_proxy")
        }
        ledger = Path(tempfile.mkdtemp(dir=self.folder)) / "ledger.sqlite"
        return kept | {"NBFILES_LEDGER": str(ledger)}

    def run(self, *arguments: str | Path) -> str:
        """Run Python with `arguments` on the clients' cores; return the last line that it printed.

        Raises
        ------
        RuntimeError
            If it fails.
        """
        command = [sys.executable, *map(str, arguments)]
        with _on({*_CORES} - {_SINK_CORE} if _SINK_CORE is not None else None):
            done = subprocess.run(
                command,
                check=False,
                cwd=ROOT,
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=_LIMIT,
            )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[1:4])} failed:\n{done.stderr.strip()[-2000:]}")
        return done.stdout.splitlines()[-1]

    def upload(self, client: str, sink: Sink, files: Sequence[Path], *, jobs: int = 1) -> Figures:
        """Let `client` upload `files`, and return what it cost.

        Raises
        ------
        RuntimeError
            If it fails, or the sink refuses what came.
        AssertionError
            If not every file came, or not every byte.
        """
        sink.report()
        trusted = ["--ca", self.ca] if sink.url.startswith("https") else []
        command = ["-m", "tests.benchmarks.clients", client, sink.url, self.warm, *files]
        said = self.run(*command, *trusted, "--jobs", str(jobs))
        came = sink.report()
        sent = [self.warm, *files]
        if (came["files"], came["bytes"]) != (len(sent), sum(path.stat().st_size for path in sent)):
            raise AssertionError(f"{client} sent {len(sent)} files; {came['files']} came, of {came['bytes']} bytes")
        return replace(Figures(**json.loads(said)), sink=came["cpu"])

    def compare(self, what: str, runs: Mapping[str, Callable[[], Figures]]) -> dict[str, Figures]:
        """Take turns with `runs`, and return the medians of each; they are kept in `figures` as `what`."""
        self.figures[what] = {name: Figures.median(taken) for name, taken in self.turns(what, runs).items()}
        return self.figures[what]

    def turns(self, what: str, runs: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
        """Take turns: run each of `runs` once, then each again; return what each gave, in order."""
        taken: dict[str, list[T]] = {name: [] for name in runs}
        for number in range(self.repeat):
            for name, run in runs.items():
                _say(f"{what}, {number + 1} of {self.repeat}: {name}")
                taken[name].append(run())
        _say("")
        return taken


def _say(words: str) -> None:
    """Show a person who waits what is going on, in one line that changes."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
