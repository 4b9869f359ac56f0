"""F1 to F6: what is wrong with a source, or changes while it is read, and which names arrive as they were given."""

from __future__ import annotations

import errno
import os
import socket
import time
import unicodedata
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workbench import CANARY, QUICK, Watch, becomes, keeps_the_secret, manager

import nbfiles
from nbfiles._config import LARGE_FILE_SIZE, MAX_FILE_SIZE
from nbfiles._errors import Error, FileNameError, FileTooLargeError, InputError, SourceChangedError, SourceError
from nbfiles._payload import file_payload
from nbfiles._tasks import Upload

from .calls import doors, world
from .server import FaultServer
from .trials import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .trials import Trial

SIZE = 5_000_000  # five pieces: the third is read while two are on their way


class _Reader:
    """A payload's reader that lets something happen before one of its pieces is read."""

    def __init__(self, reader: Any, number: int, happen: Callable[[], None]) -> None:
        self._reader, self._left, self._happen = reader, number, happen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._reader.close()

    def read(self, size: int) -> bytes:
        self._left -= 1
        if self._left == 0:
            self._happen()
        return self._reader.read(size)

    def check_unchanged(self) -> bool:
        return self._reader.check_unchanged()


def _sent(trial: Trial, path: Path, number: int, happen: Callable[[], None], server: FaultServer) -> Any:
    """Send the file at `path`, to which something happens before its piece `number` is read; return what comes."""
    payload = file_payload(path)
    opened = payload.open
    payload.open = lambda: _Reader(opened(), number, happen)
    (result,) = manager(server.url).run([Upload(payload)], Watch())
    if isinstance(result, Error):
        keeps_the_secret(result)
    return result


def _sent_in_vain(server: FaultServer) -> None:
    """See that it was sent once, which the server may see a moment later, and that nothing is stored."""
    assert becomes(1, lambda: server.uploads, 5)
    assert [] == server.stored


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(SIZE))
    other.replace(path)


def _touch(path: Path) -> None:
    os.utime(path, (1, 1))


CHANGES: dict[str, Callable[[Path], None]] = {
    "grows": _append,
    "shrinks": lambda path: os.truncate(path, SIZE // 2),
    "is rewritten in place": _rewrite,
    "is replaced": _replace,
    "is emptied": lambda path: os.truncate(path, 0),
    "is touched": _touch,
}


@row("F1", full=600, ci=60, around=doors)
def changed(trial: Trial) -> str:
    """A file that changes while it is read is not stored, and the error says so; even a new time alone is a change."""
    change = trial.case(tuple(CHANGES))
    path = trial.folder / "data.bin"
    path.write_bytes(trial.random.randbytes(1000) * (SIZE // 1000))
    with world(trial) as here:
        result = _sent(trial, path, trial.random.randrange(1, 6), lambda: CHANGES[change](path), here.server)
        _sent_in_vain(here.server)
    assert isinstance(result, SourceChangedError), repr(result)
    assert result.way_out
    return change


@contextmanager
def _nobody() -> Iterator[None]:
    """Be a user without rights, if this is one with all of them."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _unreadable(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(path))


NO_FILES: dict[str, Callable[[Path], Any]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": _socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "of the kernel": lambda path: path.symlink_to("/proc/self/status"),
    "broken link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "unreadable": _unreadable,
    "vanished": lambda path: None,
}


@row("F2", full=45, ci=9, around=doors)
def no_file(trial: Trial) -> str:
    """What is no regular file, or cannot be read, is refused at once, and nobody is connected to."""
    case = trial.case(tuple(NO_FILES))
    path = trial.folder / "source"
    NO_FILES[case](path)
    with world(trial) as here, _nobody():
        started = time.monotonic()
        try:
            nbfiles.Files(base_url=here.url, api_key=CANARY).upload(path, progress=False)
        except InputError as error:
            refusal = error
        else:
            raise AssertionError("it was sent")
        assert time.monotonic() - started < 0.5
    keeps_the_secret(refusal)
    assert refusal.way_out
    assert [] == here.server.wires
    return case


@row("F3", full=50, ci=6, around=doors)
def links(trial: Trial) -> str:
    """A link is followed to the file that it means; one that comes to mean another while it is sent is a change."""
    first, second, path = (trial.folder / name for name in ("first", "second", "link.bin"))
    first.write_bytes(trial.random.randbytes(SIZE))
    second.write_bytes(bytes(SIZE))
    path.symlink_to(first.name)

    def turn() -> None:
        (trial.folder / "new").symlink_to(second.name)
        (trial.folder / "new").replace(path)

    turns = trial.seed % 2 == 0
    with world(trial) as here:
        result = _sent(trial, path, 3, turn if turns else lambda: None, here.server)
    if turns:
        assert isinstance(result, SourceChangedError), repr(result)
        assert [] == here.server.stored
        return "turned"
    assert [result.id] == [file.id for file in here.server.holding(first.read_bytes())]
    return "followed"


SIZES = (0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, MAX_FILE_SIZE - 1, MAX_FILE_SIZE, MAX_FILE_SIZE + 1, 5 << 30)


@row("F4", full=27, ci=9, around=doors)
def sizes(trial: Trial) -> str:
    """A file of any size up to the limit arrives whole; one byte more is refused at once, without a packet."""
    size = trial.case(SIZES)
    path = trial.folder / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(size)
    with world(trial) as here, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        started = time.monotonic()
        try:
            sent = nbfiles.Files(base_url=here.url, api_key=CANARY).upload(path, progress=False, fresh=True)
        except FileTooLargeError:
            assert time.monotonic() - started < 0.2
            assert (True, []) == (size > MAX_FILE_SIZE, here.server.wires)
            return "refused"
    assert (size > LARGE_FILE_SIZE) == any("over 500 MB" in str(one.message) for one in warned)
    assert [(sent, size)] == [(file.id, file.size) for file in here.server.stored]
    return "sent"


@row("F5", full=50, ci=5, around=doors)
def read_error(trial: Trial) -> str:
    """A disk that fails in the middle of a file is what the error says; nothing is stored, nothing is tried again."""
    path = trial.folder / "data.bin"
    path.write_bytes(bytes(SIZE))

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with world(trial) as here:
        result = _sent(trial, path, trial.random.randrange(1, 6), fail, here.server)
        _sent_in_vain(here.server)
    assert isinstance(result, SourceError | SourceChangedError), repr(result)
    return "said"


# -- names -------------------------------------------------------------------------------------------------------------

PIECES = (
    *"aZ09 .-_~'%&;=#@$!()[]{}+,^`",
    *"é\u0301\u00e5\u212bÄßıİ文字語🎉🇩🇪\u200d",
    *'"\\/:<>|?*',
    *"\x00\x07\x0a\x0d\x1b\x7f\x85\u2028\u202e\u200b\ufeff\ud800\udfff",
    *("%22", "..", ". ", " .", "CON", "nul.", ".csv", ".PDF", "אב", "\u0627", "n" * 60, "文" * 40),
)
WHOLE = (
    "",
    ".",
    "..",
    " ",
    "n" * 255,
    "n" * 256,
    "n" * 520,
    "文" * 255,
    "🎉" * 255,
    "é" * 255,
    "a\ud800.txt",
    "~",
    "-",
)


@contextmanager
def _one_server() -> Iterator[FaultServer]:
    with doors(), FaultServer() as server:
        yield server


@row("F6", full=20_000, ci=2_000, around=_one_server)
def names(trial: Trial) -> str:
    """A name arrives character for character, or is refused before anything is sent; it is never quietly another."""
    chance, server = trial.random, trial.shared
    name = chance.choice(WHOLE) if chance.random() < 0.05 else "".join(chance.choices(PIECES, k=chance.randrange(1, 9)))
    server.exchanges.clear()
    files = nbfiles.Files(base_url=server.url, api_key=CANARY)
    files.session.patience = QUICK
    try:
        sent = files.upload(name.encode("utf-8", "replace") or b"x", name=name, progress=False, fresh=True)
    except FileNameError as error:
        refusal = error
    else:
        stored = server.stored.pop()
        assert (sent, name, name) == (stored.id, stored.name, sent.metadata.filename)
        return "as it was" if unicodedata.is_normalized("NFC", name) else "as it was, not in NFC"
    keeps_the_secret(refusal)
    str(refusal).encode()  # nothing in it that cannot be written down
    assert [] == server.exchanges
    return "refused"
