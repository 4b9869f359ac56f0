"""``World``: a fault server and the ways into nbfiles, with the promises that every call must keep whatever happens.

(a) a name is bound if, and only if, a valid id was returned or found again by looking; (b) at most one file is stored
for a call; (c) no temporary file, socket, descriptor or thread is left; (d) the error is one of ours, one line, without
the key; (e) it ended before its deadline.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shells import fresh_shell
from workbench import CANARY, QUICK, Watch, becomes, keeps_the_secret, manager

import nbfiles
from nbfiles import _files, _ledger
from nbfiles._errors import Error, UnknownOutcomeError
from nbfiles._payload import bytes_payload
from nbfiles._tasks import Upload

from .server import FaultServer, Step
from .trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shells import Shell

    from nbfiles._tasks import Patience


# The waits of looking again, as all others, are a hundredth of what a person gets. A late look is not: it is a limit.
SCALED = replace(QUICK, looks=(0.0, 0.01, 0.02, 0.04), late_look=0.5)
DOORS = ("engine", "python", "async", "magic")
OVERRUN = 2.0  # seconds


@dataclass
class Call:
    """What came of one upload.

    Attributes
    ----------
    bound : str or None
        The id.
    task : Upload or None
        Only where the door was the engine's.
    """

    name: str
    content: bytes
    bound: str | None = None
    error: BaseException | None = None
    seconds: float = 0.0
    task: Upload | None = None


class World:
    """A server and a trial, between which calls are made."""

    def __init__(self, trial: Trial, server: FaultServer, url: str | None = None) -> None:
        self.trial, self.server = trial, server
        self.url = url or server.url

    def upload(
        self,
        *,
        size: int | None = None,
        name: str | None = None,
        door: str | None = None,
        patience: Patience = SCALED,
        retry: bool = True,
        ca_bundle: str | None = None,
        most: int = 1,
    ) -> Call:
        """Upload new content through some door, and see that the promises are kept; `most` files may be stored."""
        chance = self.trial.random
        content = chance.randbytes(chance.choice((16, 100, 5_000, 300_000)) if size is None else size)  # no two alike
        call = Call(name or f"{chance.getrandbits(32):08x}.bin", content)
        door = door or chance.choice(DOORS)
        source: Any = content
        if door != "engine" and chance.random() < 0.3:
            source = self.trial.folder / call.name
            source.write_bytes(content)
        files = nbfiles.Files(base_url=self.url, api_key=CANARY, ca_bundle=ca_bundle)
        files.session.patience = patience
        options = {"name": call.name, "fresh": True, "retry": retry, "progress": False}
        started = time.monotonic()
        try:
            match door:
                case "engine":
                    payload = bytes_payload(content, name=call.name, source=call.name)
                    call.task = Upload(payload, retry=retry, account=files.session.account())
                    given = {} if ca_bundle is None else {"ca_bundle": ca_bundle}
                    (result,) = manager(self.url, patience=patience, **given).run([call.task], Watch())
                    if isinstance(result, Error):
                        raise result  # noqa: TRY301  # as the other doors do
                    call.bound = result.id
                case "python":
                    call.bound = files.upload(source, **options)
                case "async":
                    call.bound = asyncio.run(files.upload_async(source, **options))
                case "magic":
                    call.bound = _by_magic(self.trial.shared, files, source, options)
        except Exception as error:  # noqa: BLE001  # judged below
            call.error = error
        call.seconds = time.monotonic() - started
        self._check(call, patience.limit(len(content)) + patience.late_look, most)
        return call

    def _check(self, call: Call, deadline: float, most: int) -> None:
        """See that (a), (b), (d) and (e) hold of `call`."""
        stored = self.server.holding(call.content)
        assert len(stored) <= most, f"stored {len(stored)} times: {[file.connection for file in stored]}"
        assert call.seconds <= deadline + OVERRUN, f"{call.seconds:.1f} s, of {deadline:.1f} s"
        assert (call.bound is None) == (call.error is not None)
        if call.bound is not None:
            assert call.bound in {file.id for file in stored}, "bound to another file's id"
            return
        assert isinstance(call.error, Error), repr(call.error)
        keeps_the_secret(call.error)
        if stored:
            assert isinstance(call.error, UnknownOutcomeError), f"it is stored, but: {call.error}"


@contextmanager
def world(trial: Trial, *uploads: Step, **options: Any) -> Iterator[World]:
    """Serve a world for one trial; when it is left, nothing of what was done in it may be left in this process."""
    before = left(trial.temporary)
    with FaultServer(*uploads, **options) as server:
        yield World(trial, server)
    assert becomes(True, lambda: left(trial.temporary) <= before, 6), (
        f"{before} was open before, {left(trial.temporary)} after"
    )


@dataclass(frozen=True)
class Left:
    """What is open in this process: descriptors, threads, temporary files."""

    handles: int
    threads: int
    files: frozenset[str]

    def __le__(self, other: Left) -> bool:
        return self.handles <= other.handles and self.threads <= other.threads and self.files <= other.files


def left(folder: Path) -> Left:
    """Return what is open now; `folder` is where temporary files are made."""
    handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names only
    return Left(handles, threading.active_count(), frozenset(path.name for path in folder.iterdir()))


@contextmanager
def doors() -> Iterator[Shell]:
    """Give the trials of a row a shell, with no setting of the person's own and a ledger of their own.

    Something is uploaded through every door first, so that what stays open for the life of a process is open.
    """
    mine = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("ANTHROPIC_", "NBFILES_"))}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ["NBFILES_LEDGER"] = f"{folder}/ledger.sqlite"
        with fresh_shell(Path(folder)) as shell, FaultServer() as server:
            for number, door in enumerate(DOORS):
                warm = Trial(number, Path(tempfile.mkdtemp(dir=folder)), shell)
                assert World(warm, server).upload(door=door).bound is not None
            yield shell
        ledger = _ledger._shared.pop(Path(os.environ["NBFILES_LEDGER"]), None)
        if ledger is not None:
            ledger.close()
        del os.environ["NBFILES_LEDGER"]
    os.environ.update(mine)


def _by_magic(shell: Shell, files: nbfiles.Files, source: Any, options: dict[str, Any]) -> str | None:
    """Upload by a line in a notebook where the name was bound before; return what it is bound to, if anew."""
    _files._State.files = files
    shell.names.update(source=source, x="old")
    line = f"%upload source as x --name {options['name']} --fresh --quiet"
    line += "" if options["retry"] else " --no-retry"
    ran = shell.run(line)
    bound = shell.names["x"]
    assert ("old" == bound) == (ran.error is not None), f"bound to {bound!r}: {ran.error!r}"
    if ran.error is not None:
        vars(ran.error).pop("_render_traceback_", None)  # how a notebook shows it, which is not part of the error
        raise ran.error
    return bound
