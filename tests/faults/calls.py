"""``World``: a fault server and the ways into nbfiles, with the promises that every call must keep whatever happens.

(a) a name is bound if, and only if, a valid id was returned or found again by looking; (b) at most one file is stored
for a call; (c) no temporary file, socket, descriptor or thread is left; (d) the error is one of ours, one line, without
the key; (e) it ended before its deadline. Where Ctrl-C ended it there is neither a name nor an error, and the ledger
knows of whatever is stored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

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
    from collections.abc import Callable, Iterator

    from shells import Shell

    from nbfiles._session import Session
    from nbfiles._tasks import Patience

    from .stopped import StoppedServer

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
    interrupted : bool
        Whether Ctrl-C ended it.
    task : Upload or None
        Only where the door was the engine's.
    """

    name: str
    content: bytes
    bound: str | None = None
    error: BaseException | None = None
    interrupted: bool = False
    seconds: float = 0.0
    task: Upload | None = None


class World:
    """A server and a trial, between which calls are made."""

    def __init__(self, trial: Trial, server: FaultServer | StoppedServer) -> None:
        self.trial, self.server = trial, server
        self.url = server.url

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
        ctrl_c: float | None = None,
    ) -> Call:
        """Upload new content through some door, and see that the promises are kept; `most` files may be stored.

        After `ctrl_c` seconds a person loses patience. Not in a line of a notebook, where most of the time is
        IPython's own and Ctrl-C may hit that: a whole kernel is interrupted elsewhere.
        """
        chance = self.trial.random
        content = chance.randbytes(chance.choice((16, 100, 5_000, 300_000)) if size is None else size)  # no two alike
        call = Call(name or f"{chance.getrandbits(32):08x}.bin", content)
        door = door or chance.choice(DOORS if ctrl_c is None else DOORS[:3])
        source: Any = content
        if door != "engine" and (chance.random() < 0.3 or len(content) > 1 << 20):
            source = self.trial.folder / call.name
            source.write_bytes(content)
        files = nbfiles.Files(base_url=self.url, api_key=CANARY, ca_bundle=ca_bundle)
        files.session.patience = patience
        options = {"name": call.name, "fresh": True, "retry": retry, "progress": False}

        async def from_a_loop() -> str:
            with pressed(ctrl_c):
                return await files.upload_async(source, **options)

        started = time.monotonic()
        try:
            match door:
                case "engine":
                    payload = bytes_payload(content, name=call.name, source=call.name)
                    call.task = Upload(payload, retry=retry, account=files.session.account())
                    given = {} if ca_bundle is None else {"ca_bundle": ca_bundle}
                    with pressed(ctrl_c):
                        (result,) = manager(self.url, patience=patience, **given).run([call.task], Watch())
                    if isinstance(result, Error):
                        raise result  # noqa: TRY301  # as the other doors do
                    call.bound = result.id
                case "python":
                    with pressed(ctrl_c):
                        call.bound = files.upload(source, **options)
                case "async":
                    call.bound = asyncio.run(from_a_loop())
                case "magic":
                    call.bound = _by_magic(self.trial.shared, files, source, options)
        except Exception as error:  # noqa: BLE001  # judged below
            # Without this very frame, whose names are none of nbfiles': to look for the key in 20 MB takes seconds.
            call.error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        except KeyboardInterrupt:
            if ctrl_c is None:
                raise
            call.interrupted = True
        call.seconds = time.monotonic() - started
        self._check(call, patience.limit(len(content)) + patience.late_look, most)
        return call

    def pending(self) -> list[tuple[str, int]]:
        """Return name and size of the uploads whose outcome is not known."""
        return [(one.name, one.size) for one in self._session.account().pending()]

    def settle(self) -> list[list[str]]:
        """Find out what became of these uploads; return the ids that each may have."""
        tasks = [self._session.settlement(one) for one in self._session.account().pending()]
        return [[file.id for file in found] for found in self._session.run(tasks, Watch())]

    @property
    def _session(self) -> Session:
        return nbfiles.Files(base_url=self.url, api_key=CANARY).session

    def _check(self, call: Call, deadline: float, most: int) -> None:
        """See that (a), (b), (d) and (e) hold of `call`."""
        stored = self.server.holding(call.content)
        assert len(stored) <= most, f"stored {len(stored)} times: {[file.connection for file in stored]}"
        assert call.seconds <= deadline + OVERRUN, f"{call.seconds:.1f} s, of {deadline:.1f} s"
        if call.interrupted:
            return
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
    with nothing_left(trial.temporary), FaultServer(*uploads, **options) as server:
        yield World(trial, server)


@contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """See that afterwards nothing is open that was not open before; `folder` is where temporary files are made."""
    before = left(folder)
    yield
    assert becomes(True, lambda: left(folder) <= before, PATIENCE), f"left open: {left(folder).beyond(before)}"


PATIENCE = 6.0  # seconds: a thread in a handshake ends by itself after 5


@dataclass(frozen=True)
class Left:
    """What is open in this process: descriptors by what they mean, threads, temporary files."""

    handles: Counter[str]
    threads: frozenset[threading.Thread]
    files: frozenset[str]

    def __le__(self, other: Left) -> bool:
        return not self.beyond(other)

    def beyond(self, other: Left) -> list[Any]:
        """Return what `other` has not."""
        return [*(self.handles - other.handles), *(self.threads - other.threads), *(self.files - other.files)]


def left(folder: Path) -> Left:
    """Return what is open now; `folder` is where temporary files are made."""
    handles = Counter[str]()
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one of this very listing
            handles[os.fspath(handle.readlink())] += 1
    return Left(handles, frozenset(threading.enumerate()), frozenset(path.name for path in folder.iterdir()))


@contextmanager
def pressed(after: float | None) -> Iterator[None]:
    """Press Ctrl-C so many seconds from now, unless what is done here is over by then; None: nobody does."""
    if after is None:
        yield
        return
    person = threading.Timer(after, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    # Where it hits a destructor, or what a weak reference calls, Python drops it: then nobody has pressed anything.
    with patch("sys.unraisablehook", partial(_unraisable, sys.unraisablehook)):
        person.start()
        try:
            yield
        finally:
            person.cancel()
            person.join()
            for _ in range(1000):  # Python takes note of a signal when a loop turns: it shall be in here
                pass


def _unraisable(hook: Callable[[Any], Any], what: Any) -> None:
    if what.exc_type is not KeyboardInterrupt:
        hook(what)


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
