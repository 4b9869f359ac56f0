"""Files from elsewhere: whatever they are called, and however large they say they are, they stay in their folder."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import ntpath
import os
import random
import re
import secrets
import shutil
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from doubles import Server, answers, metadata, says
from hostile import HIDDEN, PAYLOADS
from workbench import Watch, manager

from nbfiles import _arrival
from nbfiles._arrival import Arrival, safe_name
from nbfiles._errors import ConnectionFailedError, Error, InputError, ResponseError
from nbfiles._tasks import Download

if TYPE_CHECKING:
    from doubles import Exchange

ROUNDS = 2_000 if os.environ.get("NBFILES_TRIALS") == "full" else 200
MARK = f"escape-{secrets.token_hex(8)}"  # no other file of this machine is called so

# ---- names -----------------------------------------------------------------------------------------------------------

DEVICES = ("CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in "123456789¹²³"))
WAYS_OUT = (  # {} is the mark
    "../{}", "../../{}", "../../../../../../../../../../../../../../../../{}", "..\\{}", "..\\..\\{}", ".../{}",
    "..;/{}", "./{}", "/{}", "//{}", "///etc/{}", "/tmp/{}", "\\{}", "\\\\{}", "\\\\host\\share\\{}", "\\\\?\\C:\\{}",
    "\\\\.\\PhysicalDrive0\\{}", "C:{}", "C:\\{}", "C:/{}", "c:..\\{}", "{}:stream", "{}::$DATA", "file:///tmp/{}",
    "https://evil.test/{}", "~/{}", "~root/{}", "~{}", "$HOME/{}", "%TEMP%\\{}", "$IFS{}", "`id`{}", "$(id){}",
    "{};id", "{}|id", "{}&&id", "-{}", "--output={}", "-rf{}", ".{}", "..{}", ".ssh/{}", ".bashrc",
    ".ipynb_checkpoints/{}", "{}/", "{}/..", "{}/.", "{}\\", "a/../../{}", "a\\../{}", "{}.", "{}...", "*.{}",
    "%2e%2e%2f{}", "%2e%2e/{}", "..%2f{}", "..%5c{}", "%252e%252e%252f{}", "CON/{}", "NUL/../{}", "desktop.ini",
    "Thumbs.db", "autorun.inf", ".", "..", "...", "....", "/", "\\", "//", "*", "?",
)  # fmt: skip
ODD = (
    "a\x00/../{}", "{}\x00.txt", "{}\n", "{}\r\n", "\n{}", "\t{}", " {}", "{} ", "{}. . .", "{} .", " ", "  ", ". .",
    "..\u2215{}", "..\u2044{}", "\uff0e\uff0e\uff0f{}", "..\uff3c{}", "\u202e/../{}", "\u2025/{}", "..\ufeff/{}",
    "\ufeff../{}", ".\u200b./{}", "\ud800{}", "{}\udfff",
)  # fmt: skip
LONG = (
    "{}" + "x" * 400, "é" * 300 + "{}", "表" * 200 + ".{}", "😀" * 120 + ".csv", "e\u0301" * 150 + ".txt",
    "x" * 254 + ".é", "." + "x" * 300, "x." + "y" * 300,
)  # fmt: skip
NAMES = tuple(dict.fromkeys((
    *(name.format(MARK) for name in (*WAYS_OUT, *ODD, *LONG)),
    *(name.format(device) for device in DEVICES for name in ("{}", "{}.txt", "{} .tar.gz", "{}.", "x/{}")),
    *(device.lower() for device in DEVICES),
    *PAYLOADS,
    *(f"a{char}b" for char in HIDDEN[:80]),
)))  # fmt: skip

# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
WINDOWS_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)


@pytest.mark.parametrize("root", [r"C:\Users\ana\downloads", r"\\host\share\in"])
def test_no_name_means_anything_to_windows(root):
    """By the rules of Windows, each name is one component of the folder, and no device, stream, drive or cut ending."""
    for name in NAMES:
        safe = safe_name(name)
        joined = ntpath.normpath(ntpath.join(root, safe))
        assert (root, safe) == ntpath.split(joined), name
        assert ntpath.splitdrive(root)[0] == ntpath.splitdrive(joined)[0], name
        assert not WINDOWS_DEVICE.fullmatch(safe), name
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$', safe), name
        assert 1 <= len(safe.encode("utf-16-le")) // 2 <= 255, name


def test_every_name_lands_in_its_folder(tmp_path, monkeypatch):
    """Over two hundred names from a server: each is one file in the chosen folder, and nothing is elsewhere."""
    home, here = tmp_path / "home", tmp_path / "here"
    for each in (home, here):
        each.mkdir()
    monkeypatch.setenv("HOME", os.fspath(home))
    monkeypatch.chdir(here)
    assert len(NAMES) >= 200

    def answer(exchange):
        at_once(exchange)
        number = int(exchange.target.split("/")[3].partition("?")[0].removeprefix("file_"))
        if "/content" in exchange.target:
            exchange.answer(200, str(number).encode())
        else:
            size = len(str(number))
            exchange.answer(200, metadata(f"file_{number}", filename=NAMES[number], size_bytes=size))

    with Server(answer) as server:
        tasks = [
            Download(f"file_{number}", f"{tmp_path}/in/{number}/", overwrite=False) for number in range(len(NAMES))
        ]
        results = manager(server.url, jobs=4).run(tasks, Watch())
    assert [] == [result for result in results if isinstance(result, Exception)]
    assert {tmp_path / "in" / str(number): str(number) for number in range(len(NAMES))} == {
        path.parent: path.read_text() for path in results
    }
    written = {path for path in tmp_path.rglob("*") if not path.is_dir() or path.is_symlink()}
    assert set(results) == written
    assert [] == [path for root in ("/", "/tmp", Path.home().parent) for path in Path(root).glob(f"*{MARK}*")]


def test_a_folder_beside_the_chosen_one_is_another(tmp_path):
    """A name that leads to a folder whose name begins as the chosen one's does lands in the chosen one."""
    for folder in ("in", "in-beside"):
        (tmp_path / folder).mkdir()
    whole = metadata("file_1", filename="../in-beside/made.csv", size_bytes=3)
    with Server(answers(200, whole), answers(200, b"123")) as server:
        (result,) = manager(server.url).run([Download("file_1", tmp_path / "in", overwrite=False)], Watch())
    assert tmp_path / "in" / "made.csv" == result
    assert [result] == [path for path in tmp_path.rglob("*") if path.is_file()]


# ---- links -----------------------------------------------------------------------------------------------------------


def at_once(exchange: Exchange) -> None:
    """Take the request; its answer does not wait for the peer to acknowledge its head (40 ms, thousands of times)."""
    exchange.wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    exchange.read()


class Attacker(threading.Thread):
    """Somebody who may write to the folder, and puts links and files where a download is about to land."""

    def __init__(self, target: Path, outside: Path) -> None:
        super().__init__(daemon=True)
        self._target, self._ends = target, threading.Event()
        self._links = itertools.cycle((outside / "victim", outside / "folder", outside / "missing", None))
        self.flips = 0
        self.files: list[bytes] = []  # what stood in a file of its own after a moment

    def run(self) -> None:
        while not self._ends.wait(random.uniform(0, 0.002)):
            with contextlib.suppress(FileExistsError):  # the download was first
                self._flip(next(self._links))
            self._ends.wait(random.uniform(0, 0.002))
            self._target.unlink(missing_ok=True)

    def _flip(self, link: Path | None) -> None:
        if link is not None:
            self._target.symlink_to(link)
        else:
            self._target.with_name("mine").write_bytes(b"mine")
            self._target.with_name("mine").replace(self._target)
            self._ends.wait(0.002)
            self.files.append(self._target.read_bytes())
        self.flips += 1

    def stop(self) -> None:
        self._ends.set()
        self.join()


def _made(exchange: Exchange) -> None:
    """Answer for a file of three bytes."""
    at_once(exchange)
    whole = metadata("file_1", filename="made.csv", size_bytes=3)
    exchange.answer(200, b"123" if "/content" in exchange.target else whole)


def _refused(*_arguments: object) -> None:
    raise PermissionError


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_that_appears_is_not_followed(overwrite, hard_links, tmp_path, monkeypatch):
    """While links come and go where a file is to land, nothing is written elsewhere, and no file changes."""
    if not hard_links:  # as on FAT
        monkeypatch.setattr(_arrival.os, "link", _refused)
    folder, outside = tmp_path / "in", tmp_path / "outside"
    for each in (folder, outside, outside / "folder"):
        each.mkdir()
    (outside / "victim").write_bytes(b"victim")
    attacker = Attacker(folder / "made.csv", outside)
    with Server(_made) as server:
        engine = manager(server.url)
        attacker.start()
        tasks = [Download("file_1", folder, overwrite=overwrite) for _ in range(ROUNDS)]
        kinds = {type(result) for result in engine.run(tasks, Watch())}
        attacker.stop()
    assert ({type(folder)} if overwrite else {type(folder), InputError}) == kinds
    assert attacker.flips > ROUNDS // 20
    assert {"folder": None, "victim": b"victim"} == {
        path.name: path.read_bytes() if path.is_file() else None for path in outside.rglob("*")
    }
    assert {"made.csv"} >= {path.name for path in folder.iterdir()}
    if not overwrite:
        assert {b"mine"} == set(attacker.files)


# ---- sizes -----------------------------------------------------------------------------------------------------------


def without_end(exchange: Exchange) -> None:
    """Send content for as long as anybody takes it."""
    exchange.read()
    exchange.begin(200, {"transfer-encoding": "chunked"})
    while True:
        exchange.wire.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        exchange.server.files.append({})


LIES = {
    "no length, and more": says(b"HTTP/1.1 200 OK\r\n\r\n1234"),
    "no length, and less": says(b"HTTP/1.1 200 OK\r\n\r\n12"),
    "a length that is too large": says(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n123"),
    "a length that is too small": says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n123"),
    "a bomb": answers(200, gzip.compress(bytes(1 << 24)), content_encoding="gzip"),
    "three bytes that are packed": answers(200, gzip.compress(b"123"), content_encoding="gzip"),
    "half a chunk": says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123"),
    "no end": without_end,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_content_that_lies_is_no_file(lie, tmp_path):
    """Content that is not what was announced leaves no file, and no more of it is taken than the file has bytes."""
    with Server(answers(200, metadata("file_1", filename="made.csv", size_bytes=3)), lie) as server:
        (result,) = manager(server.url).run([Download("file_1", tmp_path, overwrite=False, timeout=2)], Watch())
    assert issubclass(type(result), ResponseError | ConnectionFailedError), result
    assert [] == list(tmp_path.iterdir())
    assert len(server.files) < 256, "more than the sockets of two peers hold"


def test_a_file_that_cannot_fit_is_refused_before_its_first_byte(tmp_path):
    """A file larger than the disk's free space is not begun: its bytes are not written until the disk is full."""
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(Error, match="free"):
        Arrival(tmp_path, "made.csv", free * 2, overwrite=False)
    assert [] == list(tmp_path.iterdir())


def test_a_copy_without_its_source_leaves_nothing(tmp_path, monkeypatch):
    """Where there are no hard links, a file that vanished before its copy leaves no empty one in its place."""
    monkeypatch.setattr(_arrival.os, "link", _refused)
    with Arrival(tmp_path, "made.csv", 1, overwrite=False) as arrival:
        arrival.write(b"x")
        for path in tmp_path.iterdir():
            path.unlink()
        with pytest.raises(Error, match="could not be written"):
            arrival.publish()
    assert [] == list(tmp_path.iterdir())
