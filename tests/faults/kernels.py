"""K1, K2 and K5: a kernel that is interrupted or killed while it uploads, and a line of which some files fail."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from kernels import Kernel, Ran
from test_interrupt import BIG, PROBE
from workbench import CANARY, becomes

from nbfiles._errors import UploadError

from .calls import SCALED, doors, world
from .server import FaultServer, Step
from .trials import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shells import Shell

    from .trials import Trial

ACCOUNT = "__import__('nbfiles._files')._files.default().session.account()"
USE = "import os\nuse = lambda url: os.environ.__setitem__('ANTHROPIC_BASE_URL', url)"


@contextmanager
def _kernel() -> Iterator[Kernel]:
    """A kernel in which everything that a first upload opens for good is open."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Kernel(Path(folder), ANTHROPIC_API_KEY=CANARY) as kernel,
        FaultServer() as server,
    ):
        for code in ("%load_ext nbfiles", PROBE, BIG, USE, f"use({server.url!r})", "%upload b'warm' as x --quiet"):
            kernel.do(code)
        kernel.do(
            "import pandas as pd, numpy as np\nframe = pd.DataFrame(np.random.default_rng(0).random((300_000, 10)))"
        )
        with patch("kernels.PATIENCE", 10.0):  # for a reply that never comes
            yield kernel


@dataclass(frozen=True)
class Phase:
    """Where an upload is when Ctrl-C comes.

    Parameters
    ----------
    line : str
        What is uploaded.
    steps : tuple of Step
        What keeps it there.
    reached : callable
        Gets the server, returns whether it is there.
    lists : tuple of Step
        For requests of the list.
    before : str
        A line that was run before.
    """

    line: str
    steps: tuple[Step, ...] = ()
    reached: Callable[[FaultServer], bool] = lambda server: True
    lists: tuple[Step, ...] = ()
    before: str = ""


def _heads(count: int) -> Callable[[FaultServer], bool]:
    return lambda server: len(server.exchanges) >= count


def _whole(server: FaultServer) -> bool:
    return bool(server.exchanges) and server.exchanges[0].arrived.is_set()


PHASES = {
    "encode": Phase("frame as x"),
    "hash": Phase("big.bin as x", before="%upload big.bin as y --quiet"),  # a file that may be the same is hashed first
    "connect": Phase("b'hello' as x --fresh", (Step("after_headers", "hang"),), lambda server: bool(server.wires)),
    "send": Phase("big.bin as x --fresh", (Step("after_headers", "hang"),), _heads(1)),
    "wait": Phase("b'hello' as x --fresh", (Step("after_body", "hang"),), _whole),
    "wait, stored": Phase("b'hello' as x --fresh", (Step("after_store", "hang"),), _whole),
    "parse": Phase("b'hello' as x --fresh", (Step("after_store", "drip"),), _whole),
    "ask": Phase("b'hello' as x --fresh", (Step("after_body", "fin"),), _heads(2), (Step("after_headers", "hang"),)),
    "look again": Phase("b'hello' as x --fresh", (Step("after_body", "rst"),), _heads(2)),
    "bind": Phase("b'hello' as x --fresh"),
}


def _begins(message: dict[str, Any], cell: str) -> bool:
    return ("execute_input", cell) == (message["msg_type"], message["parent_header"].get("msg_id"))


@row("K1", full=500, ci=50, around=_kernel)
def interrupted(trial: Trial) -> str:
    """Whenever Ctrl-C comes, the prompt is back within a second, nothing is bound or left, and the next call works."""
    name = trial.case(tuple(PHASES))
    phase, kernel = PHASES[name], trial.shared
    with FaultServer(*phase.steps, list=phase.lists) as server:
        kernel.do(f"use({server.url!r}); x = 'old'; before = _sockets()")
        kernel.do(phase.before)
        ids = {file.id for file in server.stored}
        cell = kernel.send(f"%upload {phase.line} --quiet")
        kernel.listen(lambda: any(_begins(message, cell) for message in kernel._aside))
        assert becomes(True, lambda: phase.reached(server), 20)
        time.sleep(0.005 + trial.random.choice((0, 0.01, 0.1)) * trial.random.random())
        at = kernel.interrupt()
        try:
            ran = kernel.result(cell)
        except Empty:  # Ctrl-C hit ipykernel before or after the cell, which may cost any cell its reply
            ran = Ran("")
        seconds = time.monotonic() - at
        server.go_on.set()
        new, left, sockets = kernel.do("(str(x), _left(5.5), _sockets() - before)").value
        stored = [file.id for file in server.stored if file.id not in ids]
        assert len(stored) <= 1
        assert ([], True) == (left, sockets <= 0), f"{left}, {sockets} sockets"
        if ran.status != "error":  # it came when all was done
            assert new in server or (new, ran.status) == ("old", "")
            return f"{name}: done" if ran.status else "ipykernel lost its reply"
        assert ("error", "KeyboardInterrupt: ") == (ran.status, ran.error), ran.traceback
        if "stopped" not in ran.traceback and new in server:  # it hit IPython, when the line was over
            return f"{name}: done"
        assert "old" == new
        assert seconds <= 1.0, f"{seconds:.2f} s"
        known = kernel.do(f"account = {ACCOUNT}\n(len(account.pending()), account.taken({stored!r}))").value
        assert known >= (1, set()) or set(stored) == known[1], "it may have arrived, and nobody would know"
        posts = server.uploads
        assert "again" == kernel.do("%upload b'again' as y --name again --quiet\ny.metadata.filename").value
        assert posts + 1 == server.uploads
    return name


class _Reborn:
    """A kernel, and after it was killed the next, with the same ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.start()

    def start(self) -> None:
        """Start the next kernel."""
        self._count += 1
        ledger = {"NBFILES_LEDGER": str(self._folder / "ledger.sqlite")}
        self.kernel = Kernel(self._folder / str(self._count), ANTHROPIC_API_KEY=CANARY, **ledger)
        self.kernel.__enter__()
        self.pid = self.kernel.do("%load_ext nbfiles\nimport os\nos.getpid()").value
        self.kernel.do(USE)

    def kill(self) -> None:
        """Kill the kernel as the system does when memory is short."""
        os.kill(self.pid, signal.SIGKILL)
        self.kernel.__exit__()


@contextmanager
def _reborn() -> Iterator[_Reborn]:
    with tempfile.TemporaryDirectory() as folder:
        reborn = _Reborn(Path(folder))
        yield reborn
        reborn.kernel.__exit__()


KILLS = (Step("after_headers", "hang"), Step("after_body", "hang"), Step("after_store", "hang"))


@row("K2", full=100, ci=9, around=_reborn)
def killed(trial: Trial) -> str:
    """What a killed kernel was sending is pending in the next, which finds out whether it arrived, and can go on."""
    step, reborn = trial.case(KILLS), trial.shared
    size = 30_000_000 if step.when == "after_headers" else trial.random.randrange(1, 100_000)
    line = f"%upload b'x' * {size} as x --name killed.bin --quiet"
    with FaultServer(step) as server:
        reborn.kernel.do(f"use({server.url!r})")
        reborn.kernel.send(line)
        assert becomes(True, lambda: _heads(1)(server) if step.when == "after_headers" else _whole(server), 20)
        time.sleep(trial.random.random() * 0.05)
        reborn.kill()
        reborn.start()
        reborn.kernel.do(f"use({server.url!r})")
        ask = "table = %files pending\nlist(zip(table['filename'], map(int, table['size_bytes']), table['status']))"
        status = "arrived" if server.stored else "not there"
        assert [("killed.bin", size, status)] == reborn.kernel.do(ask).value
        assert [] == reborn.kernel.do(ask).value
        reborn.kernel.do(line)
        assert len(server.stored) <= 2
    return status


FATES = (400, 404, 413, 429)


@row("K5", full=200, ci=20, around=doors)
def some_fail(trial: Trial) -> str:
    """Of twenty files some fail: each has its row, the error the table, nothing is bound; again sends only the rest."""
    chance, shell = trial.random, trial.shared
    names = [f"{number:02}.bin" for number in range(20)]
    folder = trial.folder / "data"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(chance.randbytes(chance.randrange(1, 5000)))
    failing = set(chance.sample(names, trial.seed % 20 + 1))
    with world(trial) as here:
        here.server.by_name = {name: Step("after_body", "answer", chance.choice(FATES)) for name in failing}
        ran, bound = _line(shell, here, folder)
        assert "old" == bound
        error: Any = ran.error
        assert isinstance(error, UploadError), repr(error)
        table = error.table
        assert names == list(table["filename"])
        assert [name in failing for name in names] == [status == "failed" for status in table["status"]]
        assert [name in failing for name in names] == [bool(said) for said in table["error"].fillna("")]
        assert len(failing) == len(error.failures)
        assert 20 - len(failing) == len(here.server.stored)
        here.server.by_name.clear()
        posts = here.server.uploads
        ran, bound = _line(shell, here, folder)
        assert ran.error is None, ran.printed
        assert len(failing) == here.server.uploads - posts
        by_name = {file.name: file.id for file in here.server.stored}
        assert [by_name[name] for name in names] == list(bound)
        assert 20 == len(here.server.stored)
    return "some failed" if len(failing) < 20 else "all failed"


def _line(shell: Shell, here: Any, folder: Path) -> tuple[Any, Any]:
    """Upload the folder by a line in a notebook; return what came of it, and what the name is bound to."""
    from nbfiles import Files, _files

    _files._State.files = Files(base_url=here.url, api_key=CANARY)
    _files._State.files.session.patience = SCALED
    shell.names["x"] = "old"
    ran = shell.run(f"%upload '{folder}/' as x --quiet")
    return ran, shell.names["x"]
