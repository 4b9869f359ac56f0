"""The landing strip, both ends in one process: what the kernel and the receiver promise each other."""

import errno
import gc
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

import pytest

from nbfiles import _landing
from nbfiles._errors import SourceError
from nbfiles._landing import SPARE, Landing, claim
from nbfiles._lock import FileLock
from nbfiles._payload import CHUNK, Payload
from nbfiles._spool_folder import TOKEN, spool_folder, sweep, write_new

LATE = 5.0  # seconds after which a wait counts as a hang


@pytest.fixture
def landing(tmp_path):
    with Landing(tmp_path / "spool") as landing:
        yield landing


def names(folder):
    """The endings of the files of landings in `folder`."""
    return sorted(entry.suffix for entry in folder.iterdir() if entry.suffix != ".kernel")


def land(ticket, folder, data):
    arrival = claim(ticket.token, folder)
    arrival.append(data)
    arrival.finish()


def in_background(function, *args):
    """Run `function` on a thread; return the thread and the list its result or exception will be in."""
    outcome = []

    def run():
        try:
            outcome.append(function(*args))
        except SourceError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def whole(ticket):
    with ticket.open() as reader:
        return reader.readall()


def test_ticket_file(landing):
    """A ticket is a file for its owner's eyes, in a folder for its owner's eyes, that says the size and the end."""
    ticket = landing.ticket(1234, lifetime=60)
    path = landing.folder / f"{ticket.token}.ticket"
    assert 0o600 == path.stat().st_mode & 0o777
    assert 0o700 == landing.folder.stat().st_mode & 0o777
    assert {"size": 1234, "expires": ticket.expires} == json.loads(path.read_bytes())
    assert 50 < ticket.expires - time.time() <= 60


def test_tokens_cannot_be_guessed(landing):
    """Tokens are 256 random bits in characters that need no escape in a URL."""
    tokens = [landing.ticket(1).token for _ in range(50)]
    assert 50 == len(set(tokens))
    assert all(TOKEN.fullmatch(token) for token in tokens)


def test_read_while_it_grows(landing):
    """A reader that starts before the first byte gets every byte, in order, and the end only after the last."""
    data = os.urandom(3 * CHUNK + 17)
    ticket = landing.ticket(len(data))

    def read():
        with ticket.open() as reader:
            return b"".join(iter(lambda: reader.read(CHUNK), b""))

    thread, outcome = in_background(read)
    arrival = claim(ticket.token, landing.folder)
    for start in range(0, len(data), 50_000):
        arrival.append(data[start : start + 50_000])
    thread.join(0.05)
    assert thread.is_alive()  # every byte is there, but nobody has said that it was the last
    assert arrival.finish()
    thread.join(LATE)
    assert hashlib.sha256(data).hexdigest() == hashlib.sha256(outcome[0]).hexdigest()
    assert ticket.done
    assert [".done", ".part"] == names(landing.folder)


def test_serves_a_payload(landing):
    """A payload takes a ticket as its source, is reopenable, and takes the files away when it is closed."""
    data = os.urandom(2 * CHUNK + 1)
    ticket = landing.ticket(len(data), name="a.bin")
    payload = Payload("a.bin", "application/octet-stream", ticket.size, ticket.open, "browser", discard=ticket.discard)
    land(ticket, landing.folder, data)
    for _ in range(2):
        pieces = list(payload.chunks())
        assert max(map(len, pieces)) <= CHUNK
        assert data == b"".join(pieces)
    payload.close()
    assert [] == names(landing.folder)


def test_reader_is_a_file(landing):
    """The reader behaves as a raw binary file: read(0), read(-1), and a buffer around it."""
    ticket = landing.ticket(11)
    land(ticket, landing.folder, b"ab\ncd\r\nefgh")
    with ticket.open() as reader:
        assert b"" == reader.read(0)
        assert b"ab\ncd\r\nefgh" == reader.read()
        assert b"" == reader.read(5)
    with io.BufferedReader(ticket.open()) as reader:
        assert [b"ab\n", b"cd\r\n", b"efgh"] == reader.readlines()


def test_empty_file(landing):
    """A file of no bytes lands as one."""
    ticket = landing.ticket(0)
    land(ticket, landing.folder, b"")
    with ticket.open() as reader:
        assert b"" == reader.read(10)


def test_single_use(landing):
    """Of many who claim a ticket at once, exactly one gets it, and nobody afterwards."""
    ticket = landing.ticket(1)
    gate = threading.Barrier(8)

    def run():
        gate.wait()
        return claim(ticket.token, landing.folder)

    runs = [in_background(run) for _ in range(8)]
    for thread, _ in runs:
        thread.join(LATE)
    won = [outcome[0] for _, outcome in runs if outcome[0] is not None]
    assert 1 == len(won)
    assert claim(ticket.token, landing.folder) is None
    assert [".part"] == names(landing.folder)
    won[0].fail("the test is over")


@pytest.mark.parametrize(
    "token",
    ["", "a" * 42, "a" * 44, "a" * 43 + "\n", "../" + "a" * 40, "..%2f" + "a" * 38, "a" * 42 + "/", "a" * 42 + "\0",
     "\\" + "a" * 42, "C:" + "a" * 41, "ä" * 43, "." * 43, "a" * 36 + ".ticket", "/" + "a" * 42, "~" + "a" * 42],
)  # fmt: skip
def test_hostile_tokens(landing, token):
    """A token that is not one is refused before a path is made of it, whatever lies at that path."""
    ticket = landing.ticket(1)
    outside = landing.folder.parent / ("a" * 40 + ".ticket")
    outside.write_text(json.dumps({"size": 1, "expires": time.time() + 60}))
    assert claim(token, landing.folder) is None
    assert [".ticket"] == names(landing.folder)
    assert outside.exists()
    assert not ticket.discarded


@pytest.mark.parametrize(
    "note",
    [b"", b"{", b"[]", b"null", b"{}", b'{"size": 1}', b'{"size": true, "expires": 1e12}', b"\xff",
     b'{"size": -1, "expires": 1e12}', b'{"size": "1", "expires": 1e12}', b'{"size": 1, "expires": "never"}',
     b'{"size": 1, "expires": 1}', b'{"size": 1.5, "expires": 1e12}', b'{"size": 1, "expires": NaN}'],
)  # fmt: skip
def test_tickets_that_are_none(landing, note):
    """A ticket that is broken or has expired lets nobody in and is used up by the attempt."""
    token = "A" * 43
    (landing.folder / f"{token}.ticket").write_bytes(note)
    assert claim(token, landing.folder) is None
    assert [] == names(landing.folder)


def test_more_than_announced(landing):
    """Not one byte beyond the ticket's size is written."""
    ticket = landing.ticket(4)
    arrival = claim(ticket.token, landing.folder)
    arrival.append(b"123")
    with pytest.raises(ValueError, match="more bytes than the ticket allows"):
        arrival.append(b"45")
    assert 3 == ticket.landed
    arrival.fail("too many")


def test_less_than_announced(landing):
    """A landing that ends early is failed, never done, and its reader says how far it came."""
    ticket = landing.ticket(4, name="a\x1b.csv")
    arrival = claim(ticket.token, landing.folder)
    arrival.append(b"123")
    assert not arrival.finish()
    assert [".failed", ".part"] == names(landing.folder)
    with pytest.raises(SourceError) as caught:
        ticket.open()
    message = "a<U+001B>.csv did not arrive whole from the browser (3 of 4 bytes): its size is not what was announced. "
    assert message + "Nothing was bound. Choose the file again." == str(caught.value)


def test_failure_reaches_a_waiting_reader(landing):
    """A reader that waits learns within moments that no more will come, and why, without raw control characters."""
    ticket = landing.ticket(10)
    arrival = claim(ticket.token, landing.folder)
    arrival.append(b"12345")
    reader = ticket.open()
    assert b"12345" == reader.read(10)
    thread, outcome = in_background(reader.read, 10)
    started = time.monotonic()
    arrival.fail("the line\x07 broke")
    arrival.fail("a second reason is not heard")
    thread.join(LATE)
    reader.close()
    assert time.monotonic() - started < 1
    assert "the line<U+0007> broke" in str(outcome[0])
    assert not arrival.finish()


def test_failure_overtakes_what_is_left(landing):
    """After a failure a reader gets nothing more, although bytes that it has not seen lie there."""
    ticket = landing.ticket(3 * CHUNK)
    arrival = claim(ticket.token, landing.folder)
    arrival.append(bytes(2 * CHUNK))
    with ticket.open() as reader:
        reader.read(CHUNK)
        arrival.fail("broken")
        with pytest.raises(SourceError, match="broken"):
            reader.read(CHUNK)


@pytest.mark.parametrize("begun", [False, True])
def test_discard_wakes_a_waiting_reader(landing, begun):
    """Giving a landing up ends every wait for it within moments and takes its files away."""
    ticket = landing.ticket(10)
    arrival = claim(ticket.token, landing.folder) if begun else None

    def read():
        with ticket.open() as reader:
            return reader.read(10)

    thread, outcome = in_background(read)
    thread.join(0.05)
    started = time.monotonic()
    ticket.discard()
    thread.join(LATE)
    assert time.monotonic() - started < 1
    assert "was cancelled" in str(outcome[0])
    assert [] == names(landing.folder)
    if arrival:
        arrival.append(b"0123456789")
        assert not arrival.finish()
        assert [] == names(landing.folder)


def test_receiver_that_died(landing):
    """A landing that stops growing without a word is given up after the idle limit, at both ends of its life."""
    ticket = landing.ticket(10)
    arrival = claim(ticket.token, landing.folder)
    with ticket.open(idle=0.05) as reader:
        with pytest.raises(SourceError, match=r"nothing came for 0\.05 s"):
            reader.read(10)
        arrival.append(b"0123456789")
        assert b"0123456789" == reader.read(10)
        with pytest.raises(SourceError, match=r"nothing came for 0\.05 s"):  # no .done
            reader.read(10)
    arrival.fail("the test is over")


def test_browser_that_never_came(landing):
    """A ticket that nobody claims ends with an error, and can no longer be claimed."""
    ticket = landing.ticket(10, lifetime=0.05)
    with pytest.raises(SourceError, match="never arrived from the browser"):
        ticket.open()
    assert claim(ticket.token, landing.folder) is None
    assert [] == names(landing.folder)


def test_claimed_at_the_last_moment(landing):
    """A landing that begins in the moment in which its ticket runs out is waited for, and read to its end."""
    ticket = landing.ticket(3, lifetime=0.05)
    claimed = landing.folder / f"{ticket.token}.claim"
    (landing.folder / f"{ticket.token}.ticket").rename(claimed)
    time.sleep(0.1)
    assert ticket.overdue
    thread, outcome = in_background(whole, ticket)
    time.sleep(0.1)
    (landing.folder / f"{ticket.token}.part").write_bytes(b"abc")
    claimed.unlink()
    (landing.folder / f"{ticket.token}.done").touch()
    thread.join(LATE)
    assert [b"abc"] == outcome


def test_a_folder_that_was_removed(landing):
    """A kernel whose spool folder was cleared away says what to do, for every new landing."""
    landing.folder.rename(landing.folder.with_name("elsewhere"))
    with pytest.raises(SourceError, match=r"cannot be used for files from the browser: .*Set NBFILES_SPOOL"):
        landing.ticket(1)


def test_a_disk_that_takes_no_ticket(landing):
    """A ticket that cannot be written is an error of ours, and leaves no file."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(SourceError, match="cannot be used for files from the browser: File too large"):
            landing.ticket(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [] == names(landing.folder)


def test_a_landing_that_cannot_be_read(landing):
    """What lies in the place of the bytes and is no file is an error of ours, at once."""
    ticket = landing.ticket(1)
    (landing.folder / f"{ticket.token}.part").mkdir()
    with pytest.raises(SourceError, match="cannot be used for files from the browser: Is a directory"):
        ticket.open()
    (landing.folder / f"{ticket.token}.part").rmdir()


def test_no_room(landing):
    """A landing that the disk cannot hold is refused before it begins, counting those still expected."""
    with pytest.raises(SourceError, match="huge needs"):
        landing.ticket(1 << 60, name="huge")
    share = int((shutil.disk_usage(landing.folder).free - SPARE) * 0.6)
    first = landing.ticket(share)
    with pytest.raises(SourceError, match="are expected"):
        landing.ticket(share)
    first.discard()
    landing.ticket(share)


def test_full_disk_is_seen_at_the_claim(landing):
    """A receiver whose disk has filled up since refuses before the first byte, and tells the reader."""
    token = "A" * 43
    (landing.folder / f"{token}.ticket").write_text(json.dumps({"size": 1 << 60, "expires": time.time() + 60}))
    with pytest.raises(OSError, match="No space left"):
        claim(token, landing.folder)
    assert [".failed", ".part"] == names(landing.folder)


def test_close_takes_everything_back(tmp_path):
    """Closing the strip removes every file of its tickets, twice without harm."""
    landing = Landing(tmp_path / "spool")
    tickets = [landing.ticket(1) for _ in range(3)]
    land(tickets[0], landing.folder, b"x")
    claim(tickets[1].token, landing.folder).fail("no")
    landing.close()
    landing.close()
    assert [] == list(landing.folder.iterdir())


def test_forgotten_tickets_leave_nothing(landing):
    """A ticket that nobody holds any longer takes its files with it."""
    ticket = landing.ticket(1)
    land(ticket, landing.folder, b"x")
    del ticket
    gc.collect()
    assert [] == names(landing.folder)


def test_kernel_that_ends(tmp_path):
    """A kernel that ends, even by an exception, leaves no files."""
    code = "import sys, pathlib; from nbfiles._landing import Landing, claim\n"
    code += "landing = Landing(pathlib.Path(sys.argv[1])); one = landing.ticket(1); two = landing.ticket(1)\n"
    code += "claim(two.token, landing.folder).append(b'x'); raise SystemExit(3)"
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "spool")], check=False)
    assert 3 == ended.returncode
    assert [] == list((tmp_path / "spool").iterdir())


def test_kernel_that_is_killed(landing):
    """What a killed kernel left goes when the next one starts; what living kernels expect stays."""
    ours = landing.ticket(1)
    code = "import sys, pathlib, time; from nbfiles._landing import Landing, claim\n"
    code += "landing = Landing(pathlib.Path(sys.argv[1])); one = landing.ticket(1); two = landing.ticket(1)\n"
    code += "claim(two.token, landing.folder).append(b'x'); print('there', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(landing.folder)], stdout=subprocess.PIPE) as other:
        assert b"there\n" == other.stdout.readline()
        assert 0 == sweep(landing.folder)
        assert [".part", ".ticket", ".ticket"] == names(landing.folder)
        other.kill()
    with Landing(landing.folder):
        assert [f"{ours.token}.ticket"] == [path.name for path in landing.folder.glob("*.[!k]*")]
    assert 1 == len(list(landing.folder.glob("*.kernel")))


def test_kernels_that_cannot_be_told_apart(tmp_path, monkeypatch):
    """Where files cannot be locked, landings work, and nothing but age makes a file go."""

    def refuse(lock):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "try_acquire", refuse)
    with Landing(tmp_path) as landing:
        land(landing.ticket(1), tmp_path, b"x")
        ticket = landing.ticket(1)
        noted = tmp_path / f"{'C' * 43}.kernel"
        noted.write_text(ticket.token)
        assert 0 == sweep(tmp_path)
        assert [".ticket"] == names(tmp_path)


def test_sweep(landing):
    """What nobody has touched for a day goes when the next kernel starts; younger and foreign files stay."""
    old, new = "A" * 43, "B" * 43
    for token in (old, new):
        for suffix in (".ticket", ".claim", ".part", ".done", ".reason", ".failed"):
            (landing.folder / f"{token}{suffix}").touch()
    for foreign in ("notes.part", f"{old}.csv", old):
        (landing.folder / foreign).touch()
    day_ago = time.time() - 86_401
    for path in landing.folder.iterdir():
        if new not in path.name:
            os.utime(path, (day_ago, day_ago))
    assert 6 == sweep(landing.folder)
    assert [old, f"{old}.csv"] == sorted(path.name for path in landing.folder.glob(f"{old}*"))
    assert (landing.folder / "notes.part").exists()
    assert 6 == len(list(landing.folder.glob(f"{new}.*")))


def test_starting_sweeps(tmp_path):
    """A new strip begins by sweeping its folder."""
    folder = Landing(tmp_path / "spool").folder
    stale = folder / ("A" * 43 + ".part")
    stale.touch()
    os.utime(stale, (1, 1))
    Landing(folder)
    assert not stale.exists()


def test_folder_open_to_others(tmp_path):
    """A folder that others may enter is refused, and never changed: NBFILES_SPOOL may name /tmp by mistake."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    with pytest.raises(SourceError, match="open to other users") as caught:
        Landing(shared)
    assert "NBFILES_SPOOL" in caught.value.way_out
    assert 0o755 == shared.stat().st_mode & 0o777


def test_folder_that_cannot_be(tmp_path):
    """A folder that cannot be made is an error of ours, with a way out."""
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="cannot be used for files from the browser"):
        Landing(tmp_path / "file" / "spool")


def test_where_the_spool_is(tmp_path, monkeypatch):
    """Kernel and server look in Jupyter's runtime folder unless NBFILES_SPOOL names another."""
    monkeypatch.delenv("NBFILES_SPOOL", raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    assert tmp_path / "nbfiles" == spool_folder()
    monkeypatch.setenv("NBFILES_SPOOL", str(tmp_path / "elsewhere"))
    assert tmp_path / "elsewhere" == spool_folder()
    assert tmp_path / "elsewhere" == Landing().folder
    monkeypatch.delenv("NBFILES_SPOOL")
    monkeypatch.setitem(sys.modules, "jupyter_core.paths", None)
    assert ("nbfiles", "spool") == spool_folder().parts[-2:]


def test_knows_no_web_server():
    """The strip itself needs no tornado and nothing heavy, so it may be used from both processes."""
    code = "import sys, nbfiles._landing as m; heavy = {'tornado', 'pandas', 'httpx', 'IPython', 'jupyter_server'}"
    code += "; print(sorted(heavy & set(sys.modules)), end='')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == ran.stdout


def test_a_mark_has_its_reason(landing, monkeypatch):
    """Whoever finds that a landing failed finds why, and on a full disk at least that it did."""
    for disk_is_full in (False, True):
        ticket = landing.ticket(3)
        arrival = claim(ticket.token, landing.folder)
        seen = []

        def write(path, data, *, full=disk_is_full, ticket=ticket, seen=seen):
            seen.append(ticket.failure)
            write_new(path, b"" if full else data)
            seen.append(ticket.failure)
            if full:
                raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(_landing, "write_new", write)
        arrival.fail("the browser broke off")
        monkeypatch.undo()
        assert [None, None] == seen
        assert ("it broke off" if disk_is_full else "the browser broke off") == ticket.failure
