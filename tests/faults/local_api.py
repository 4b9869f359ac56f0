"""The local Files API under fire (rows L1 to L4 and L6): what it has acknowledged is on the disk, whatever happens.

A kill leaves what the system already has in memory, so L1 and L2 say nothing of fsync; that is what L6 is for.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from nbfiles.local._store import Store

from .local_server import (
    Books,
    arriving,
    blobs,
    client_of,
    error_of,
    ids_of,
    rows_of,
    serving,
    swept,
    upload,
    wait_until,
)  # fmt: skip
from .local_trace import Trace, calls_in, counted
from .trials import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .local_trace import Call
    from .trials import Trial

WRITING = "openat,write,fsync,fdatasync,rename,pwrite64,unlink"


# -- killed ----------------------------------------------------------------------------------------------------------


@row("L1", full=1000, ci=100)
def killed_under_load(trial: Trial) -> str:
    """A kill at any time loses no acknowledged file, and what it leaves is swept at the next start."""
    folder, books = trial.folder / "store", Books()
    with serving(folder) as api:
        threads = [threading.Thread(target=_load, args=(api, number, books)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(trial.random.uniform(0, 0.25))
        api.kill()
        for thread in threads:
            thread.join()
    books.check(folder)
    left = bool(arriving(folder)) or bool(blobs(folder).keys() - rows_of(folder).keys())
    with Store(folder):
        swept(folder)
    books.check(folder)
    return "waste left and swept" if left else "clean" if books.kept else "killed before the first answer"


def _load(api: Any, number: int, books: Books) -> None:
    """Upload, and delete every third file, until the server is no more."""
    content = os.urandom(150_000 * number + 1000)
    with client_of(api) as client, contextlib.suppress(httpx.TransportError):
        for turn in itertools.count():
            file_id = upload(client, content).json()["id"]
            if turn % 3 == 2:
                books.end(file_id)
            books.keep(file_id, content)
            if turn % 3 == 2:
                client.delete(f"/v1/files/{file_id}")


def _prepare(folder: Path, *, used: bool) -> Books:
    """Make a folder as two uploads and a crash leave it, or leave it to the victim to make one."""
    books = Books()
    if used:
        with Store(folder) as store:
            for content in (b"first", b"second"):
                with store.receive() as incoming:
                    incoming.write(content)
                    books.keep(store.publish(incoming, "a.txt", "text/plain").id, content)
        (folder / "blobs" / ("z" * 24)).write_bytes(b"orphan")
        (folder / "incoming" / "0123456789abcdef-0").write_bytes(b"half")
    return books


def _victim(folder: Path, books: Books, calls: str, fault: str = "") -> tuple[str, bool]:
    """Run the victim under a trace, and note what it says in `books`; return the trace, and whether it was killed."""
    command = [sys.executable, Path(__file__).with_name("local_victim.py"), folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        assert "ready\n" == victim.stdout.readline()
        with Trace([victim.pid], calls, fault=fault) as trace:
            said, _ = victim.communicate("\n", timeout=20)
            seen = trace.end()
    for line in said.splitlines(keepends=True):
        word, file_id, content = [*line.split(), "", ""][:3]
        if not line.endswith("\n"):  # its last word was cut short
            break
        if word == "kept":
            books.keep(file_id, bytes.fromhex(content))
        else:
            books.end(file_id)
    assert victim.returncode in {0, -signal.SIGKILL}
    return seen, victim.returncode != 0


@contextlib.contextmanager
def _moments() -> Iterator[list[tuple[bool, str, int]]]:
    """Yield every moment at which the victim can be killed: in a new folder or in one in use, the k-th of a call."""
    moments = []
    with tempfile.TemporaryDirectory() as parent:
        for used in (False, True):
            folder = Path(parent) / f"{used}"
            seen, killed = _victim(folder, _prepare(folder, used=used), WRITING)
            assert not killed
            moments += [(used, name, k) for name, count in sorted(counted(seen).items()) for k in range(1, count + 1)]
    assert len(moments) <= _MOMENTS, f"there are {len(moments)} moments: raise the full count of the row"
    yield moments


_MOMENTS = 200


@row("L2", full=_MOMENTS, ci=0, around=_moments)
def killed_at_a_call(trial: Trial) -> str:
    """A kill at any system call of a start, two uploads and a delete loses no acknowledged file."""
    used, name, k = trial.case(trial.shared)
    folder = trial.folder / "store"
    books = _prepare(folder, used=used)
    _, killed = _victim(folder, books, name, f"signal=KILL:when={k}")
    if (folder / "blobs").exists():  # else the kill came before there was anything
        books.check(folder)
    with Store(folder):
        swept(folder)
    books.check(folder)
    return f"killed at {name}" if killed else "not reached"


# -- no room, no disk ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _served() -> Iterator[tuple[Any, httpx.Client]]:
    """Yield a server that has answered once, and a client of it."""
    with serving() as api, client_of(api) as client:
        assert 200 == upload(client).status_code
        yield api, client


def _listed(client: httpx.Client) -> list[str]:
    return ids_of(client.get("/v1/files?limit=1000"))


def _attempt(client: httpx.Client, verb: str, before: list[str], content: bytes = b"hello") -> tuple[int, list[str]]:
    """Upload a file, or delete the newest, where that may fail; return the status and the ids there must be now."""
    answer = upload(client, content) if verb == "upload" else client.delete(f"/v1/files/{before[0]}")
    if answer.status_code != 200:
        status, kind, _ = error_of(answer)
        assert (True, "api_error") == (status in {500, 507}, kind)
        return status, before
    return 200, [answer.json()["id"], *before] if verb == "upload" else before[1:]


def _goes_on(client: httpx.Client, expected: list[str]) -> None:
    """See that the server lists what it must, and that the next upload and delete work."""
    assert expected == _listed(client)
    again = upload(client).json()["id"]
    assert [again, *expected] == _listed(client)
    assert 200 == client.delete(f"/v1/files/{again}").status_code


@row("L3", full=1000, ci=100, around=_served)
def no_room(trial: Trial) -> str:
    """Where no file of the store can grow further the answer is 507 or 500, nothing stays, and the server goes on."""
    api, client = trial.shared
    before = _listed(client)
    verb = "delete" if len(before) > 20 else "upload"
    limit, size = (int(10 ** trial.random.uniform(0, 6.3)) for _ in range(2))
    resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    status, expected = _attempt(client, verb, before, bytes(size))
    resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    swept(api.dir)
    _goes_on(client, expected)
    return f"{verb} {status}"


@contextlib.contextmanager
def _small_disk() -> Iterator[tuple[Any, httpx.Client]]:
    """Yield a server on a file system of 3 MB, and a client of it."""
    with tempfile.TemporaryDirectory() as disk:
        mounting = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "none", disk]
        done = subprocess.run(mounting, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"this row mounts a small file system, as root: {done.stderr}"
        try:
            with serving(Path(disk) / "store") as api, client_of(api) as client:
                yield api, client
        finally:
            subprocess.run(["umount", disk], check=True)


@row("L3-disk", full=100, ci=0, around=_small_disk)
def full_disk(trial: Trial) -> str:
    """A full disk is answered with 507, what was stored stays, and a delete makes room for the next file."""
    api, client = trial.shared
    statuses, expected = Counter(), []
    while statuses[507] < 3:
        status, expected = _attempt(client, "upload", expected, bytes(trial.random.randrange(300_000)))
        statuses[status] += 1
        swept(api.dir)
    assert {200, 507} == set(statuses)
    assert expected == _listed(client)
    for file_id in expected:
        assert 200 == client.delete(f"/v1/files/{file_id}").status_code
    _goes_on(client, [])
    return "filled and emptied"


@contextlib.contextmanager
def _faults() -> Iterator[list[tuple[str, bool, str, int, str]]]:
    """Yield every fault of an upload and of a delete: verb, whether in the loop's thread, call, k, error."""
    faults = []
    for verb in ("upload", "delete"):
        with _served() as (api, client):
            before = _listed(client)
            with Trace([api.process.pid], _FAULTY, threads=True) as trace:
                _attempt(client, verb, before)
                seen = trace.end().splitlines()
        for in_loop in (True, False):
            lines = [line for line in seen if line.startswith(f"{api.process.pid} ") is in_loop]
            faults += [
                (verb, in_loop, name, k, error)
                for name, count in sorted(counted("\n".join(lines)).items())
                for k in range(1, count + 1)
                for error in ("EIO", "ENOSPC", "EDQUOT", "EINTR")
            ]
    assert len(faults) <= _MOMENTS, f"there are {len(faults)} faults: raise the full count of the row"
    yield faults


_FAULTY = f"{WRITING},pread64,ftruncate"


@row("L3-calls", full=_MOMENTS, ci=0, around=_faults)
def failing_call(trial: Trial) -> str:
    """Whichever system call fails, the answer is JSON, nothing half stays, and the server goes on."""
    verb, in_loop, name, k, error = trial.case(trial.shared)
    folder = trial.folder / "store"
    with serving(folder) as api, client_of(api) as client:
        before = [upload(client).json()["id"]]
        threads = {int(path.name) for path in Path(f"/proc/{api.process.pid}/task").iterdir()} - {api.process.pid}
        with Trace([api.process.pid] if in_loop else threads, name, fault=f"error={error}:when={k}") as trace:
            status, expected = _attempt(client, verb, before)
            reached = "(INJECTED)" in trace.end()
        if name != "unlink":  # what cannot be removed now goes at the next start
            swept(folder)
        _goes_on(client, expected)
    with Store(folder):
        swept(folder)
    return f"{verb} {status}" if reached else "not reached"


# -- many at once ----------------------------------------------------------------------------------------------------


class _Model:
    """What two servers on one folder must agree on: the files that were acknowledged, and the deletes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.alive: dict[str, bytes] = {}
        self.leaving: set[str] = set()  # somebody has asked for it
        self.gone: Counter[str] = Counter()  # how often that was answered with 200
        self.faults: list[BaseException] = []
        self.ends = time.monotonic() + _ROUND

    def surely_there(self) -> set[str]:
        """Return the ids that every answer to a question asked from now on must know, unless they are leaving then."""
        with self.lock:
            return self.alive.keys() - self.leaving

    def surely_gone(self) -> set[str]:
        """Return the ids that no answer to a question asked from now on may know."""
        with self.lock:
            return set(self.gone)


_ROUND = 6.0  # seconds


def _write(model: _Model, client: httpx.Client, chance: random.Random) -> None:
    there = model.surely_there()
    if len(there) > 500:  # a page of the list shall hold them all
        time.sleep(0.01)
        return
    content = chance.randbytes(chance.choice([0, 10, 5000, 300_000]))
    answer = upload(client, content)
    assert 200 == answer.status_code, answer.text
    file_id = answer.json()["id"]
    assert max(there, default="") < file_id, "a later file does not sort later"
    with model.lock:
        model.alive[file_id] = content


def _read(model: _Model, client: httpx.Client, chance: random.Random) -> None:
    there, gone = model.surely_there(), model.surely_gone()
    asked = chance.sample(sorted(there), min(50, len(there))) + chance.sample(sorted(gone), min(50, len(gone)))
    answers = [client.get("/v1/files?limit=1000"), client.get("/v1/files", params={"ids[]": asked})]
    assert [200, 200] == [answer.status_code for answer in answers], [answer.text for answer in answers]
    listed, found = (set(ids_of(answer)) for answer in answers)
    there -= model.leaving.copy()
    assert set() == gone & (listed | (found if asked else set()))
    assert there <= listed
    assert not asked or there & set(asked) <= found <= set(asked)


def _delete(model: _Model, client: httpx.Client, chance: random.Random) -> None:
    with model.lock:
        # Some that somebody else is deleting, too.
        one = chance.choice(sorted(model.alive)) if len(model.alive) > 50 else None
        if one is not None:
            model.leaving.add(one)
    if one is None:
        time.sleep(0.01)
        return
    answer = client.delete(f"/v1/files/{one}")
    assert answer.status_code in {200, 404}, answer.text
    with model.lock:
        model.gone[one] += answer.status_code == 200
        model.alive.pop(one, None)


def _work(model: _Model, step: Callable[..., None], api: Any, chance: random.Random) -> None:
    try:
        with client_of(api) as client:
            while time.monotonic() < model.ends and not model.faults:
                step(model, client, chance)
    except Exception as error:  # noqa: BLE001  # whatever it is, the trial must hear of it
        model.faults.append(error)


@row("L4", full=20, ci=1)
def two_servers(trial: Trial) -> str:
    """Two servers on one folder, written, read and deleted from at once, never contradict what either has said."""
    folder = trial.folder / "store"
    with serving(folder) as first, serving(folder) as second:
        model = _Model()
        steps = [_write] * 8 + [_read] * 4 + [_delete] * 2
        threads = [
            threading.Thread(target=_work, args=(model, step, api, random.Random(trial.random.random())))
            for step, api in zip(steps, itertools.cycle([first, second]))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if model.faults:
            raise model.faults[0]
        for api in (first, second):
            with client_of(api) as client:
                assert sorted(model.alive, reverse=True) == _listed(client)
        assert {1} == set(model.gone.values()), "a file was deleted twice, or never"
    swept(folder)
    digests = {file_id.removeprefix("file_local_"): hashlib.sha256(content).hexdigest()
               for file_id, content in model.alive.items()}  # fmt: skip
    assert digests == blobs(folder)
    return f"{(len(model.alive) + len(model.gone)) // 100}00 files and more"


# -- power -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _traced() -> Iterator[tuple[httpx.Client, Trace]]:
    with _served() as (api, client):
        calls = "write,fsync,fdatasync,rename,pwrite64,sendto"
        with Trace([api.process.pid], calls, threads=True) as trace:
            yield client, trace


def _step(name: str, text: str) -> Callable[[Call], bool]:
    return lambda call: re.fullmatch(name, call.name) is not None and re.search(text, call.text) is not None


@row("L6", full=200, ci=0, around=_traced)
def order_of_steps(trial: Trial) -> str:
    """Before an upload is answered its bytes are synced, then named, then the name is synced, then its row."""
    client, trace = trial.shared
    key = upload(client, trial.random.randbytes(trial.random.randrange(2_000_000))).json()["id"][-24:]
    wait_until(lambda: "HTTP/1.1 200" in trace.news())
    calls = calls_in(trace.take())
    arriving_at = next(call.text for call in calls if _step("rename", f"/blobs/{key}")(call)).split('"')[1]
    steps = [
        _step("write", re.escape(f"<{arriving_at}>")),
        _step("fsync", re.escape(f"<{arriving_at}>")),
        _step("rename", f"/blobs/{key}"),
        _step("fsync", "/blobs>"),
        _step("pwrite64", r"/files\.sqlite-wal>"),
        _step("f(data)?sync", r"/files\.sqlite-wal>"),
        _step("sendto", r"HTTP/1\.1 200"),
    ]
    found = [[call for call in calls if step(call)] for step in steps]
    assert all(found), f"steps are missing: {[len(each) for each in found]}"
    for number, (before, after) in enumerate(itertools.pairwise(found)):
        assert before[-1].end < after[-1].begin, f"step {number + 1} began before step {number} had ended"
    assert found[3][-1].end < found[4][0].begin, "a row was written before the name of its bytes was synced"
    return "in order"
