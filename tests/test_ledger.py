"""The ledger remembers every upload, between kernels and after their death, and never stops one."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hostile import HIDDEN, PAYLOADS
from workbench import CANARY, becomes

from nbfiles import _ledger
from nbfiles._ledger import Known, Ledger, is_remote, shared

FULL = os.environ.get("NBFILES_TRIALS") == "full"
DAMAGES = 300 if FULL else 30
PDF = {"name": "report.pdf", "mime_type": "application/pdf", "size": 7}
NOON = datetime(2026, 11, 23, 12, 0, 0, 123457, tzinfo=UTC)
ODD = ["", "\0", "a\0b.pdf", "\ud800.pdf", "a\udcff\udcfe", "\U0001f4c4.pdf", "e\u0301.pdf", "\u00e9.pdf",
       "'; DROP TABLE files; --", "x" * 10_000, "".join(HIDDEN), *PAYLOADS]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with closing(Ledger(path)) as ledger:
        yield ledger


@pytest.fixture(params=["in a file", "in memory"])
def account(request, path):
    """Return an account; what holds of it holds in a file and in memory."""
    with closing(Ledger(path if request.param == "in a file" else None)) as ledger:
        yield ledger.account("https://api.example default", "k1")
        assert "" == ledger.note


def known(file_id="file_1", created=NOON, expires=None, digest="blake3:1", **other):
    return Known(id=file_id, digest=digest, created_at=created, expires_at=expires, **(PDF | other))


def same(account, **other):
    return account.find(**(PDF | {"digest": "blake3:1"} | other))


def may_hold(account, *, name, mime_type, size):
    return bool(account.alike([(name, mime_type, size)]))


def numbers(account):
    return [pending.number for pending in account.pending()]


def locks(path):
    return sorted(path.parent.glob("*.lock"))


def works(account):
    """Whether the account does everything for this process, whatever it is kept in."""
    like = PDF | {"name": "works.pdf"}
    number, other = account.begin(**like), account.begin(**like)
    rivals = account.rivals(number)
    account.record(known("file_w1", **like), number)
    adopted = [account.adopt(known("file_w1", **like), other), account.adopt(known("file_w2", **like), other)]
    lost = account.begin(**like)
    account.unknown(lost)
    account.forget(["file_w2"])
    ids = [file.id for file in same(account, **like)]
    seen = (may_hold(account, **like), ids, account.taken(["file_w1", "file_w2", "no"]))
    told = lost in numbers(account)
    account.drop(lost)
    return (1, [False, True], (True, ["file_w1"], {"file_w1", "file_w2"}), True) == (rivals, adopted, seen, told)


# -- what it remembers -------------------------------------------------------------------------------------------------


def test_everything(account):
    """All of it works together, and again after that."""
    assert works(account)


def test_found(account):
    """What was recorded is found as it was, the newest first."""
    older, newer = known("file_1"), known("file_2", NOON + timedelta(microseconds=1))
    account.record(newer)
    account.record(older)
    assert [newer, older] == same(account)


def test_same_time(account):
    """Of two files of one moment the one that was recorded last comes first."""
    account.record(known("file_b"))
    account.record(known("file_a"))
    assert ["file_a", "file_b"] == [file.id for file in same(account)]


@pytest.mark.parametrize("other", [{"name": "Report.pdf"}, {"mime_type": "text/plain"}, {"size": 8}])
def test_other(account, other):
    """A file is held only if name, type and size are the same."""
    account.record(known())
    assert (True, False) == (may_hold(account, **PDF), may_hold(account, **(PDF | other)))
    assert [] == same(account, **other)


def test_other_bytes(account):
    """A file of other bytes is not found."""
    account.record(known())
    assert [] == same(account, digest="blake3:2")


def test_no_digest(account):
    """A file whose digest is not known is ours, and never reused."""
    account.record(known(digest=""))
    assert (False, [], {"file_1"}) == (may_hold(account, **PDF), same(account, digest=""), account.taken(["file_1"]))


@pytest.mark.parametrize(
    ("created", "expires"),
    [
        (NOON, NOON + timedelta(hours=1)),
        (NOON, datetime.max.replace(tzinfo=UTC)),
        (datetime(1969, 1, 1, tzinfo=UTC), None),
        (NOON.astimezone().astimezone(UTC), NOON + timedelta(microseconds=1)),
    ],
)
def test_times(account, created, expires):
    """Times of the server come back to the microsecond, the end among them; none stays none."""
    account.record(known(created=created, expires=expires))
    assert [(created, expires)] == [(file.created_at, file.expires_at) for file in same(account)]


def test_recorded_again(account):
    """What is recorded last of an id holds, and there is one of it."""
    account.record(known(expires=NOON))
    account.record(known())
    assert [known()] == same(account)


def test_forgotten(account):
    """What is gone at the server is never reused, and still counts as ours."""
    account.record(known())
    account.forget(["file_1", "file_9"])
    assert (False, [], {"file_1"}) == (may_hold(account, **PDF), same(account), account.taken(["file_1", "file_9"]))


def ours(path):
    """Return which of the files of `generations` a kernel that begins now takes for its own, and all the file holds."""
    with closing(Ledger(path)) as ledger:
        mine = ledger.account("p", "k").taken(GENERATIONS)
    with closing(sqlite3.connect(path)) as file:
        return mine, {id_.decode() for (id_,) in file.execute("SELECT id FROM files")}


GENERATIONS = {
    "for ever": None,
    "with an end to come": timedelta(days=1),
    "just expired": timedelta(seconds=-1),
    "listed to the last": timedelta(days=-30),
    "over": timedelta(days=-32),
    "long over": timedelta(days=-800),
}


def test_what_is_over_goes(path):
    """A file is ours for as long as the server may list it; then the next kernel forgets it, beside others that run."""
    now = datetime.now(UTC)
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        for file_id, left in GENERATIONS.items():
            account.record(known(file_id, expires=None if left is None else now + left))
        number = account.begin(**PDF)
        account.unknown(number)
        assert set(GENERATIONS) == account.taken(GENERATIONS), "nothing goes while nobody begins"
        kept = set(GENERATIONS) - {"over", "long over"}
        assert (kept, kept) == ours(path)
        assert (kept, [number]) == (account.taken(GENERATIONS), numbers(account)), (
            "the older kernel sees it, and goes on"
        )
        assert works(account)


def test_what_is_gone_goes(path, monkeypatch):
    """A file that was deleted, or is not known any more, stays ours for 31 days, whenever it was to end."""
    ends = {"none": None, "later": timedelta(days=80), "before": timedelta(days=-3)}
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        for file_id, left in ends.items():
            account.record(known(file_id, expires=None if left is None else datetime.now(UTC) + left))
        account.record(known("living"))
        account.forget(ends)
        account.forget(ends)
    assert {*ends, "living"} == ours(path)[1]
    for days, left in ((27, {*ends, "living"}), (29, {"none", "later", "living"}), (32, {"living"})):
        with monkeypatch.context() as patch:
            patch.setattr(_ledger, "KEPT_AFTER_END", timedelta(days=31 - days))  # as if so many days had passed
            assert left == ours(path)[1]


def test_uploaded_again(path, monkeypatch):
    """A file that is recorded anew after it was gone has its new end, not the old one."""
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        account.record(known())
        account.forget(["file_1"])
        account.record(known())
    monkeypatch.setattr(_ledger, "KEPT_AFTER_END", -timedelta(days=1))
    with closing(Ledger(path)) as ledger:
        assert [known()] == same(ledger.account("p", "k"))


def test_no_opening_takes_long(path):
    """However much is over, one opening removes a thousand rows, finds them by an index, and the next ones go on."""
    with closing(Ledger(path)) as ledger:
        ledger.account("p", "k").record(known("file_0"))
    with closing(sqlite3.connect(path)) as file:
        file.executemany(
            "INSERT INTO files SELECT NULL, place, credential, ?, name, mime_type, size, digest, created_at, 0, 0"
            " FROM files WHERE id = CAST('file_0' AS BLOB)",
            [(f"old_{number}".encode(),) for number in range(2500)],
        )
        file.commit()
        plan = file.execute("EXPLAIN QUERY PLAN SELECT number FROM files WHERE expires_at < 5 LIMIT 1000").fetchall()
    assert "files_by_end" in str(plan)
    assert [1501, 501, 1, 1] == [len(ours(path)[1]) for _ in range(4)]


def test_what_is_known_of_a_place(account, path):
    """Digests and what is gone are told by id, of this place only; a digest that is not known is left out."""
    account.record(known())
    account.record(known("file_2", digest=""))
    account.record(known("file_3", digest="blake3:3"))
    account.forget(["file_3"])
    assert ({"file_1": "blake3:1", "file_3": "blake3:3"}, {"file_3"}) == (account.digests(), account.gone())
    other = account._ledger.account("https://elsewhere.example default", "k1")
    assert ({}, set()) == (other.digests(), other.gone())


def test_many_ids(account):
    """As many ids may be asked for as a server's page holds, from an iterator too; none is fine."""
    account.record(known("file_7"))
    assert ({"file_7"}, set()) == (account.taken(f"file_{n}" for n in range(5000)), account.taken([]))


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_texts(account, text):
    """Whatever a file name holds comes back the same, half surrogates and zeros too; and so do ids and types."""
    file = known(text, name=text, mime_type=text, digest=f"blake3:{text}")
    number = account.begin(name=text, mime_type=text, size=7)
    account.unknown(number)
    assert [(number, text, text)] == [(it.number, it.name, it.mime_type) for it in account.pending()]
    account.record(file, number)
    assert [file] == account.find(name=text, mime_type=text, size=7, digest=f"blake3:{text}")
    assert {text} == account.taken([text])


@pytest.mark.parametrize("kept", [True, False])
def test_places_and_keys(path, kept):
    """What is reused belongs to a key; what is ours, and who is a rival, to a place."""
    with closing(Ledger(path if kept else None)) as ledger:
        ours, other_key, other_place = (ledger.account(*page) for page in [("p", "k"), ("p", "l"), ("q", "k")])
        ours.record(known())
        assert [1, 0, 0] == [len(same(account)) for account in (ours, other_key, other_place)]
        assert [1, 1, 0] == [len(account.taken(["file_1"])) for account in (ours, other_key, other_place)]
        first, second, third = (account.begin(**PDF) for account in (ours, other_key, other_place))
        assert [1, 1, 0] == [ours.rivals(number) for number in (first, second, third)]
        ours.unknown(first)
        assert [[first], [], []] == [numbers(account) for account in (ours, other_key, other_place)]


# -- uploads under way -------------------------------------------------------------------------------------------------


def test_under_way(account):
    """What is under way is not pending; when its outcome is unknown it is, the oldest first, until that is known."""
    before = datetime.now(UTC)
    first, second, third = (account.begin(**PDF) for _ in range(3))
    assert [] == account.pending()
    for number in (third, first, second):
        account.unknown(number)
    assert [first, second, third] == numbers(account)
    assert before <= account.pending()[0].began <= datetime.now(UTC)
    account.drop(first)
    account.record(known(), second)
    assert account.adopt(known("file_2"), third)
    assert [] == account.pending()


def test_numbers(account):
    """A number is never given twice, so what comes late cannot meet another upload."""
    seen = set()
    for _ in range(5):
        number = account.begin(**PDF)
        account.drop(number)
        seen.add(number)
    assert 5 == len(seen)


def test_rivals(account):
    """Rivals have the same name and size and are not over; the two forms of an accent are one name to a server."""
    mine = account.begin(**PDF | {"name": "\u00e9"})
    assert 0 == account.rivals(mine)
    account.begin(**PDF | {"name": "e\u0301", "mime_type": "text/plain"})
    account.begin(**PDF | {"name": "\u00e9", "size": 8})
    account.begin(**PDF | {"name": "\u00ea"})
    lost = account.begin(**PDF | {"name": "\u00e9"})
    assert 2 == account.rivals(mine)
    account.unknown(lost)
    assert 2 == account.rivals(mine), "nobody knows what became of it, so that a file may be its"
    account.drop(lost)
    assert 1 == account.rivals(mine)


def test_rivals_of_nothing(account):
    """An upload that is over has no rivals."""
    number = account.begin(**PDF)
    account.begin(**PDF)
    account.drop(number)
    assert 0 == account.rivals(number)


def test_adopted(account):
    """An id is adopted once; whoever comes second keeps the upload open."""
    first, second = account.begin(**PDF), account.begin(**PDF)
    assert [True, False] == [account.adopt(known(), first), account.adopt(known(size=8), second)]
    account.unknown(second)
    assert ([second], [known()]) == (numbers(account), same(account))


def test_not_adopted(account):
    """What the server gave to another upload, or had and lost, is not adopted."""
    account.record(known())
    account.record(known("file_2"))
    account.forget(["file_2"])
    number = account.begin(**PDF)
    assert [False, False] == [account.adopt(known(), number), account.adopt(known("file_2"), number)]


def test_threads(account):
    """Many threads at once lose nothing, and adopt each id once."""
    adopted = []

    def work(me):
        for turn in range(50):
            account.record(known(f"file_{me}_{turn}"), account.begin(**PDF))
            if account.adopt(known(f"common_{turn}"), account.begin(**PDF)):
                adopted.append(turn)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 400 == len(account.taken(f"file_{me}_{turn}" for me in range(8) for turn in range(50)))
    assert list(range(50)) == sorted(adopted)


def waiting(ledger, *jobs):
    """Start a thread for each job while the ledger is busy, let them all go on, and return what came of each."""
    results = {}

    def work(name, job):
        try:
            results[name] = job()
        except OverflowError as error:
            results[name] = error

    with _ledger._GATE:
        threads = [threading.Thread(target=work, args=entry) for entry in enumerate(jobs)]
        for thread in threads:
            thread.start()
        assert becomes(len(jobs), lambda: len(ledger._hold.jobs))
    for thread in threads:
        thread.join()
    return [results[name] for name in range(len(jobs))]


def test_those_that_wait_share_a_transaction(ledger, monkeypatch):
    """What several threads write at the same moment is one transaction, and each gets its own answer."""
    account = ledger.account("p", "k")
    account.pending()
    batches = []
    once = _ledger._transaction
    monkeypatch.setattr(_ledger, "_transaction", lambda file, jobs: batches.append(len(jobs)) or once(file, jobs))
    numbers = waiting(ledger, *[lambda: account.begin(**PDF)] * 6)
    assert ([1, 2, 3, 4, 5, 6], [6]) == (sorted(numbers), batches)
    assert 5 == account.rivals(1)


def test_the_fault_of_one_is_not_the_others(ledger):
    """Of those that share a transaction only the one that cannot be done fails, and the others are written once."""
    account = ledger.account("p", "k")
    account.pending()
    good, bad = (lambda: account.begin(**PDF)), (lambda: account.begin(**(PDF | {"size": 1 << 70})))
    results = waiting(ledger, good, bad, good, bad, good)
    assert [int, OverflowError, int, OverflowError, int] == [type(result) for result in results]
    assert (2, "") == (account.rivals(results[0]), ledger.note)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_kept(path):
    """What was written is there for the next kernel, and nothing else is left in the folder."""
    with closing(Ledger(path)) as ledger:
        ledger.account("p", "k").record(known())
        assert 1 == len(locks(path))
    assert [path] == list(path.parent.iterdir())
    with closing(Ledger(path)) as ledger:
        assert [known()] == same(ledger.account("p", "k"))


def test_made_late(path):
    """Nothing is made before it is needed, and a relative path is one from where it was named."""
    with closing(Ledger(path)) as ledger:
        assert (False, "") == (path.parent.exists(), ledger.note)
        ledger.account("p", "k").taken(["file_1"])
        assert path.exists()


def test_relative(tmp_path, monkeypatch):
    """A relative path stays where it was named, wherever the notebook goes later."""
    monkeypatch.chdir(tmp_path)
    with closing(Ledger(Path("ledger.sqlite"))) as ledger:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert works(ledger.account("p", "k"))
        assert (tmp_path / "ledger.sqlite").exists()


def test_used_after_closing(path):
    """A thread that comes late to a closed ledger opens it again."""
    ledger = Ledger(path)
    ledger.account("p", "k").record(known())
    ledger.close()
    assert [known()] == same(ledger.account("p", "k"))
    ledger.close()
    ledger.close()
    assert [path] == list(path.parent.iterdir())


def test_dropped(path):
    """A ledger that nobody refers to any more closes itself."""
    assert works(Ledger(path).account("p", "k"))
    assert becomes([path], lambda: list(path.parent.iterdir()))


def test_permissions(ledger, path):
    """Nobody but the owner can look into the folder or the files, whatever the umask says."""
    before = os.umask(0)
    try:
        works(ledger.account("p", "k"))
    finally:
        os.umask(before)
    modes = {file.suffix: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {".sqlite": 0o600, ".sqlite-wal": 0o600, ".sqlite-shm": 0o600, ".lock": 0o600} == modes
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_settings(ledger, path):
    """The file has a write-ahead log that is synced at checkpoints, and a version."""
    ask = [f"PRAGMA {what}" for what in ("journal_mode", "synchronous", "busy_timeout", "user_version")]
    assert ["wal", 1, 2000, 1] == ledger.run(lambda read: [read.execute(what).fetchone()[0] for what in ask])


def test_no_secrets(ledger, path):
    """The file holds what it is told and no more: no key, wherever one may be near."""
    secret = CANARY.encode()
    ledger.account("p", "fingerprint").record(known(), ledger.account("p", "fingerprint").begin(**PDF))
    files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert (True, False) == (b"fingerprint" in files, secret in files)


def test_killed_at_the_beginning(path):
    """A file that was made and not yet filled is filled."""
    path.parent.mkdir()
    path.touch(0o600)
    with closing(Ledger(path)) as ledger:
        assert (True, "") == (works(ledger.account("p", "k")), ledger.note)


def test_shared(path, monkeypatch):
    """A process has one ledger a file, and one in memory where nothing is to be kept."""
    monkeypatch.setenv("NBFILES_LEDGER", str(path))
    monkeypatch.setattr(_ledger, "_shared", {})
    with closing(shared(keep=True)) as kept, closing(shared(keep=False)) as in_memory:
        assert (kept, in_memory) == (shared(keep=True), shared(keep=False))
        works(in_memory.account("p", "k"))
        assert not path.exists()
        works(kept.account("p", "k"))
        assert path.exists()


def test_default_place(tmp_path, monkeypatch):
    """Without being told otherwise it lies in the user's data folder."""
    monkeypatch.delenv("NBFILES_LEDGER", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(_ledger, "_shared", {})
    with closing(shared(keep=True)) as ledger:
        works(ledger.account("p", "k"))
        assert "" == ledger.note
    assert ["ledger.sqlite"] == [file.name for file in _ledger._default_path().parent.iterdir()]


# -- several processes -------------------------------------------------------------------------------------------------

BEGINNING = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from nbfiles._ledger import Known, Ledger
PDF = {"name": "report.pdf", "mime_type": "application/pdf", "size": 7}
NOON = datetime(2026, 11, 23, 12, 0, 0, 123457, tzinfo=UTC)
def known(file_id, **other):
    return Known(id=file_id, digest="blake3:1", created_at=NOON, expires_at=None, **(PDF | other))
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
ledger = Ledger(Path(sys.argv[1]))
account = ledger.account("p", "k")
"""


def kernel(path, code, *arguments, **options):
    """Start a process that has the ledger at `path` and runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", BEGINNING + code, os.fspath(path), *arguments],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True} | options,
    )  # fmt: skip


def output(process):
    """Let a process end, and return the lines that it wrote."""
    lines = process.communicate(timeout=60)[0].splitlines()
    assert 0 == process.returncode
    return lines


def test_two_kernels(ledger, path):
    """Two kernels see each other's files and rivals; what one has under way is pending as soon as it is dead."""
    account = ledger.account("p", "k")
    mine = account.begin(**PDF)
    with kernel(path, "account.record(known('file_1')); say(account.begin(**PDF)); input()") as other:
        theirs = int(other.stdout.readline())
        assert (1, [], {"file_1"}) == (account.rivals(mine), account.pending(), account.taken(["file_1"]))
        assert 2 == len(locks(path))
        other.kill()
        other.wait()
        assert (1, [theirs]) == (account.rivals(mine), numbers(account))
        assert 1 == len(locks(path))
    assert account.adopt(known("file_2"), theirs)
    assert [] == account.pending()


def test_a_kernel_that_ends(path):
    """A kernel that ends in any way of its own leaves no lock, and what it had under way is pending."""
    for end in ("", "raise SystemExit(0)", "sys.exit(0)"):
        (number,) = output(kernel(path, f"say(account.begin(**PDF)); {end}"))
        assert [] == locks(path)
        with closing(Ledger(path)) as ledger:
            assert int(number) == numbers(ledger.account("p", "k"))[-1]


def test_one_adopts(path):
    """However many processes find the same file, exactly one of them gets it."""
    code = "say('ready'); input()\nfor n in range(100): say(n, account.adopt(known(f'file_{n}'), account.begin(**PDF)))"
    processes = [kernel(path, code) for _ in range(6)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    lines = [line.split() for process in processes for line in output(process)]
    assert 600 == len(lines)
    assert sorted(map(str, range(100))) == sorted(n for n, adopted in lines if adopted == "True")


def test_many_open_at_once(path):
    """Kernels that make the ledger at the same moment all end up in the same one, with nothing to complain of."""
    code = "say('ready'); input(); account.record(known(sys.argv[2])); say(ledger.note or 'fine')"
    for trial in range(4):
        here = path.with_name(f"{trial}.sqlite")
        processes = [kernel(here, code, f"file_{me}") for me in range(6)]
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        assert [["fine"]] * 6 == [output(process) for process in processes]
        with closing(Ledger(here)) as ledger:
            assert 6 == len(ledger.account("p", "k").taken(f"file_{me}" for me in range(6)))


FORKS = """
mine = account.begin(**PDF)
ours = ledger._hold.token
read, write = os.pipe()
child = os.fork()
if child == 0:
    theirs = account.begin(**PDF)
    account.record(known("file_child"))
    say("child", ledger._hold.token != ours, account.rivals(theirs), len(account.pending()), ledger.note or "fine")
    os.read(read, 1)
    {end}
time.sleep(0.2)
say("parent", ledger._hold.token == ours, account.rivals(mine), account.taken(["file_child"]), ledger.note or "fine")
os.write(write, b"x")
os.waitpid(child, 0)
say("after", account.rivals(mine), len(account.pending()), len(list(Path(sys.argv[1]).parent.glob("*.lock"))))
"""


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_fork(path, end):
    """A forked child is a kernel of its own: it takes nothing from its parent, and neither is dead to the other."""
    path.parent.mkdir(parents=True)
    expected = {"child True 1 0 fine", "parent True 1 {'file_child'} fine", "after 1 1 1"}
    assert expected == set(output(kernel(path, FORKS.format(end=end))))
    with closing(sqlite3.connect(path)) as file:
        assert [("ok",)] == file.execute("PRAGMA integrity_check").fetchall()


def test_nothing_crosses_a_fork(ledger, path):
    """At the moment of a fork no database is open, which neither parent nor child could use or close in safety."""
    works(ledger.account("p", "k"))
    _ledger._before_fork()
    try:
        links = [str(fd.readlink()) for fd in Path("/dev/fd").iterdir() if fd.is_symlink()]
    finally:
        _ledger._GATE.release()
    assert [str(locks(path)[0])] == [link for link in links if link.startswith(str(path.parent))]


def test_fork_outlives(ledger, path):
    """A child that never asked the ledger does not keep its dead parent alive."""
    code = "account.begin(**PDF)\nif os.fork() == 0: time.sleep(5); os._exit(0)\nsay('there')"
    with kernel(path, code + "; time.sleep(60)", start_new_session=True) as parent:
        parent.stdout.readline()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert 1 == len(ledger.account("p", "k").pending())
        os.killpg(parent.pid, signal.SIGKILL)


def test_fork_in_memory(path):
    """A child of a kernel that keeps nothing starts with nothing, and a fork while others write stops nobody."""
    code = """
import threading
account = Ledger(None).account("p", "k")
account.begin(**PDF)
kept, stop = ledger.account("p", "k"), []
def write():
    while not stop: kept.record(known("file_1"), kept.begin(**PDF))
threads = [threading.Thread(target=write) for _ in range(3)]
for thread in threads: thread.start()
for n in range(30):
    child = os.fork()
    if child == 0:
        kept.record(known(f"file_{n}"))
        os._exit(0 if account.rivals(account.begin(**PDF)) + len(account.pending()) == 0 and not ledger.note else 1)
    say(os.waitpid(child, 0)[1])
stop.append(True)
for thread in threads: thread.join()
say(len(kept.taken(f"file_{n}" for n in range(30))), len(kept.pending()), ledger.note or "fine")
"""
    lines = output(kernel(path, "import warnings; warnings.simplefilter('ignore')" + code))
    assert ["0"] * 30 == lines[:30]
    assert ["30 0 fine"] == lines[30:]


# -- it never stops an upload ------------------------------------------------------------------------------------------


def degraded(ledger, why):
    """Whether the ledger goes on in memory and says why, in one line."""
    return (
        works(ledger.account("p", "k"))
        and why in ledger.note
        and ledger.note.startswith("Uploads are remembered only until this kernel ends: the ledger ")
        and "\n" not in ledger.note
    )


def test_a_folder_in_its_place(ledger, path):
    """A folder where the file should be stops nothing."""
    path.mkdir(parents=True)
    assert degraded(ledger, "cannot be used (unable to open database file)")


def test_a_file_in_place_of_the_folder(ledger, path):
    """A file where the folder should be stops nothing."""
    path.parent.write_text("")
    assert degraded(ledger, "cannot be used (File exists)")


@pytest.mark.parametrize("rubbish", [b"x" * 9999, b"SQLite format 3\0" + b"\xff" * 5000])
def test_rubbish(ledger, path, rubbish):
    """A file that is no ledger stops nothing, and stays as it is."""
    path.parent.mkdir()
    path.write_bytes(rubbish)
    assert degraded(ledger, "is damaged (file is not a database); move it away to begin a new one.")
    ledger.close()
    assert rubbish == path.read_bytes()


def test_another_table(ledger, path):
    """Tables of somebody else stop nothing, and stay as they are."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE files (mine)")
    assert degraded(ledger, "cannot be used (")
    with closing(sqlite3.connect(path)) as file:
        assert [("files",)] == file.execute("SELECT name FROM sqlite_schema").fetchall()


def test_newer(path):
    """What a newer version wrote stops nothing, and is not touched."""
    with closing(Ledger(path)) as ledger:
        ledger.account("p", "k").record(known())
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with closing(Ledger(path)) as ledger:
        assert [] == same(ledger.account("p", "k"))
        assert degraded(ledger, "was written by a newer nbfiles; update this one.")
    assert (before, [path]) == (path.read_bytes(), list(path.parent.iterdir()))


def test_locked(ledger, path):
    """Whoever holds the file for longer than two seconds is not waited for; what was read before is remembered."""
    account = ledger.account("p", "k")
    account.record(known("file_before"))
    number = account.begin(**PDF)
    with kernel(
        path, "import sqlite3; sqlite3.connect(sys.argv[1]).execute('BEGIN EXCLUSIVE'); say(1); input()"
    ) as other:
        other.stdout.readline()
        began = time.monotonic()
        account.record(known("file_1"), number)
        took = time.monotonic() - began
        assert degraded(ledger, "stayed locked for 2 s")
        assert {"file_before", "file_1"} == account.taken(["file_before", "file_1"])
        other.communicate("\n")
    assert 2 <= took < 2.9
    with closing(Ledger(path)) as next_one:
        assert [] == next_one.account("p", "k").pending(), "this process still lives, and so does what it has under way"
    assert account.begin(**PDF) > number


def test_locked_at_the_start(ledger, path):
    """A file that is held when it is opened, in the old journal too, is waited for two seconds in all."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE x (y)")
        began = time.monotonic()
        assert degraded(ledger, "stayed locked for 2 s")
        assert 2 <= time.monotonic() - began < 2.9


def test_locked_for_a_moment(ledger, path):
    """A lock that goes is waited for."""
    account = ledger.account("p", "k")
    account.record(known())
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, other.close)
    timer.start()
    account.record(known("file_2"))
    timer.join()
    assert (2, "") == (len(same(account)), ledger.note)
    with closing(sqlite3.connect(path)) as file:
        assert [(2,)] == file.execute("SELECT count(*) FROM files").fetchall()


def test_looked_at_while_it_is_made(ledger, path):
    """A process that is looking into a file without a write-ahead log is waited for when that is to begin."""
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE x (y)")
    other.execute("BEGIN")
    other.execute("SELECT * FROM x").fetchall()
    timer = threading.Timer(0.3, other.close)
    timer.start()
    assert (True, "") == (works(ledger.account("p", "k")), ledger.note)
    timer.join()


def test_well_again(ledger, path):
    """A ledger that is opened anew, when what was in its way is gone, has nothing to complain of."""
    path.mkdir(parents=True)
    assert degraded(ledger, "cannot be used")
    ledger.close()
    path.rmdir()
    assert (True, "") == (works(ledger.account("p", "k")), ledger.note)


def test_interrupted(ledger, monkeypatch):
    """Ctrl-C while it is opened or written leaves no trace, and the next call finds all in order."""
    account = ledger.account("p", "k")

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_ledger, "is_remote", interrupt)
        with pytest.raises(KeyboardInterrupt):
            account.record(known())
    account.record(known())
    with pytest.raises(KeyboardInterrupt):
        ledger.run(lambda write: interrupt(write.execute("DELETE FROM files")))
    assert ([known()], True, "") == (same(account), works(account), ledger.note)


def test_interrupted_at_the_beginning(path, monkeypatch):
    """Ctrl-C just after a transaction has begun ends that transaction, and not the ledger."""

    class Interrupted(sqlite3.Connection):
        now = False

        def execute(self, statement, *values):
            done = super().execute(statement, *values)
            if self.now and statement.startswith("BEGIN"):
                self.now = False
                raise KeyboardInterrupt
            return done

    monkeypatch.setattr(_ledger, "_connect", lambda file: Interrupted(file, isolation_level=None))
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        account.record(known())
        ledger._hold.connection.now = True
        with pytest.raises(KeyboardInterrupt):
            account.record(known("file_2"))
        assert ([known()], True, "") == (same(account), works(account), ledger.note)


def test_damaged_in_the_middle(ledger, path):
    """A file that is overwritten while it is in use stops nothing."""
    account = ledger.account("p", "k")
    account.record(known())
    ledger.run(lambda write: None)
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    path.with_name("ledger.sqlite-wal").write_bytes(b"")
    assert works(account)


def test_damaged_anywhere(path):
    """Whatever bytes of the file are wrong, nothing is raised and this process's own uploads are remembered."""
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        for n in range(40):
            account.record(known(f"file_{n}"))
            account.begin(**PDF)
    whole, seed = path.read_bytes(), random.randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(DAMAGES):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 20, 2000])):
            data[chance.randrange(100, len(data))] = chance.randrange(256)
        path.write_bytes(data)
        with closing(Ledger(path)) as ledger:
            account = ledger.account("p", "k")
            same(account), account.pending()
            number = account.begin(**PDF)
            account.rivals(number)
            account.record(known("file_mine"), number)
            assert {"file_mine"} == account.taken(["file_mine"]), seed


SMALL = """
import resource
done = 0
for n in range(40):
    account.record(known(f"file_{n}"), account.begin(**PDF))
lost = account.begin(**PDF)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
for n in range(40, 4000):
    account.record(known(f"file_{n}"), account.begin(**PDF))
account.unknown(lost)
assert len(account.taken(f"file_{n}" for n in range(4000))) == 4000
assert [it.number for it in account.pending()] == [lost]
say(ledger.note)
"""


@pytest.mark.parametrize("room", [0, 100_000, 300_000])
def test_no_room(path, room):
    """A disk that is full at the start or becomes so in the middle stops nothing, and nothing is forgotten."""
    (note,) = output(kernel(path, SMALL, str(room)))
    assert note.startswith("Uploads are remembered only until this kernel ends: the ledger ")
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        assert 40 <= len(account.taken(f"file_{n}" for n in range(4000))) < 4000
        assert ("", []) == (ledger.note, locks(path)[1:])


# Nobody in particular, since root may do everything.
NOBODY = """
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


@pytest.fixture
def open_place(tmp_path):
    """Return a path that anybody may reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if stat.S_IMODE(folder.stat().st_mode) & 0o005 != 0o005:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o055)
    return tmp_path / "data" / "ledger.sqlite"


TRIES = """
account.record(known("file_mine"), account.begin(**PDF))
say(sorted(account.taken(["file_mine", "file_before"])))
say(ledger.note)
"""


@pytest.mark.parametrize(
    ("folder_mode", "seen"),
    [(0o000, ["file_mine"]), (0o555, ["file_mine"]), (0o777, ["file_before", "file_mine"])],
)
def test_read_only(open_place, folder_mode, seen):
    """A folder or file that may not be written, or not even be read, stops nothing; what can be read is read."""
    with closing(Ledger(open_place)) as ledger:
        ledger.account("p", "k").record(known("file_before"))
    open_place.chmod(0o444)
    open_place.parent.chmod(folder_mode)
    taken, note = output(kernel(open_place, NOBODY + TRIES))
    open_place.parent.chmod(0o700)
    assert str(seen) == taken
    assert note.startswith("Uploads are remembered only until this kernel ends: the ledger ")


def test_a_folder_that_cannot_be_made(open_place):
    """A data folder that nobody may make stops nothing."""
    open_place.parent.mkdir()
    open_place.parent.chmod(0o555)
    seen, note = output(kernel(open_place.parent / "deeper" / "ledger.sqlite", NOBODY + TRIES))
    assert "['file_mine']" == seen
    assert note.endswith(" cannot be used (Permission denied).")


def test_no_locks(ledger, path, monkeypatch):
    """Where the file system has no locks it is not known who lives, so nothing is shared."""
    monkeypatch.setattr(_ledger.FileLock, "try_acquire", lambda lock: False)
    assert degraded(ledger, "cannot be used (No locks available)")
    assert [] == locks(path)


def test_no_write_ahead_log(path, monkeypatch):
    """Where SQLite has no write-ahead log it keeps a rollback journal, says so, and does all the same."""
    connect = sqlite3.connect

    def without(file, **options):
        return connect(f"file:{file}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", without)
    with closing(Ledger(path)) as ledger:
        assert works(ledger.account("p", "k"))
        assert (f"Uploads take a little longer: the file system of the ledger {path} allows no write-ahead log."
                == ledger.note)  # fmt: skip
    with closing(Ledger(path)) as ledger:
        assert {"file_w1"} == ledger.account("p", "k").taken(["file_w1"])


def mounts(tmp_path, monkeypatch, *lines):
    table = tmp_path / "mounts"
    table.write_text("".join(f"x {point} {kind} rw,relatime 0 0\n" for point, kind in lines))
    monkeypatch.setattr(_ledger, "MOUNTS", table)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_network(path, tmp_path, monkeypatch, kind):
    """On a network file system, where a write-ahead log would break the file, there is none from the start."""
    mounts(tmp_path, monkeypatch, ("/", "ext4"), (tmp_path, kind))
    with closing(Ledger(path)) as ledger:
        assert works(ledger.account("p", "k"))
        assert "allows no write-ahead log." in ledger.note
        assert "delete" == ledger.run(lambda read: read.execute("PRAGMA journal_mode").fetchone()[0])
        assert not path.with_name("ledger.sqlite-wal").exists()


def test_mounts(tmp_path, monkeypatch):
    """The innermost mount tells, spaces in its name too; of two on one place, the later."""
    mounts(tmp_path, monkeypatch, ("/", "nfs"), (tmp_path, "ext4"), (f"{tmp_path}/a\\040b", "nfs"),
           (f"{tmp_path}/c", "nfs"), (f"{tmp_path}/c", "ext4"))  # fmt: skip
    folders = [Path("/"), tmp_path, tmp_path / "a b" / "c", tmp_path / "a", tmp_path / "c"]
    assert [True, False, True, False, False] == [is_remote(folder) for folder in folders]


def test_no_mounts(tmp_path, monkeypatch):
    """Where mounts cannot be listed, only a path can tell."""
    monkeypatch.setattr(_ledger, "MOUNTS", tmp_path / "none")
    assert [False, True] == [is_remote(tmp_path), is_remote(Path("\\\\server\\share"))]
