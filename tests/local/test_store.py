"""The store keeps rows and bytes together, whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import sqlite3
import stat
import threading
import time

import pytest

from nbfiles import _errors
from nbfiles.local import _store, add_generated
from nbfiles.local._store import DamagedError, Store, is_full


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def put(store, data=b"x", name="a.txt", **options):
    with store.receive() as incoming:
        incoming.write(data)
        return store.publish(incoming, name, "text/plain", **options)


def blobs(folder):
    return {path.name for path in (folder / "blobs").iterdir()}


def arriving(folder):
    return {path.name for path in (folder / "incoming").iterdir() if path.suffix != ".lock"}


def test_published(folder):
    """What is published is described by its own size and digest, and its bytes are on the disk."""
    with Store(folder) as store:
        stored = put(store, b"hello")
        assert stored == store.get(stored.id)
        assert (5, hashlib.sha256(b"hello").hexdigest()) == (stored.size_bytes, stored.sha256)
        assert b"hello" == (folder / "blobs" / stored.key).read_bytes()


def test_kept(folder):
    """A store that is opened again has what it had."""
    with Store(folder) as store:
        stored = put(store)
    with Store(folder) as store:
        assert stored == store.get(stored.id)


def test_forgotten(folder):
    """Bytes that are not published leave nothing behind."""
    with Store(folder) as store:
        with store.receive() as incoming:
            incoming.write(b"half")
            assert 1 == len(arriving(folder))
        assert set() == arriving(folder) | blobs(folder)


def test_delete(folder):
    """A deleted file has neither row nor bytes, and cannot be deleted again."""
    with Store(folder) as store:
        stored = put(store)
        assert [True, False] == [store.delete(stored.id), store.delete(stored.id)]
        assert None is store.get(stored.id)
        assert set() == blobs(folder)


ODD_IDS = ["", "x", "file_local_", "file_local_../../etc/passwd12345", "../files.sqlite", "file_local_" + "a" * 23,
           "file_local_" + "a" * 25, "file_local_" + "é" * 24, "file_local_" + "a" * 24 + "\n", "a" * 24,
           "file_local_%2e%2e%2f" + "a" * 15]  # fmt: skip


def test_room_comes_back(folder):
    """What files that came and went leave behind does not grow with them: not SQLite's log, not its index."""
    with Store(folder) as store:
        for _ in range(300):
            assert store.delete(put(store).id)
        left = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "reserve")
    assert left < _store.RESERVE


@pytest.mark.parametrize("file_id", ODD_IDS)
def test_odd_ids(folder, file_id):
    """An id of another form is not found, and deletes nothing."""
    with Store(folder) as store:
        put(store)
        assert (None, False, []) == (store.get(file_id), store.delete(file_id), store.some([file_id]))
        assert 1 == len(blobs(folder))


def test_order(folder):
    """Files come newest first, and pages in either direction neither repeat nor miss one."""
    with Store(folder) as store:
        newest_first = [put(store).key for _ in range(25)][::-1]
        seen, after = [], None
        while True:
            files, more = store.page(10, after=after)
            seen += [file.key for file in files]
            if not more:
                break
            after = seen[-1]
        assert newest_first == seen
        files, more = store.page(10, before=newest_first[15])
        assert (newest_first[5:15], True) == ([file.key for file in files], more)


def test_equal_times(folder, monkeypatch):
    """Files of one microsecond keep one order, and none of them is lost between pages."""
    monkeypatch.setattr(_store, "now", lambda: 1_700_000_000_000_000)
    with Store(folder) as store:
        made = {put(store).key for _ in range(9)}
        whole = [file.key for file in store.page(9)[0]]
        first = [file.key for file in store.page(4)[0]]
        rest = [file.key for file in store.page(9, after=first[-1])[0]]
        assert made == set(whole)
        assert whole == first + rest


def test_place_of_deleted(folder):
    """Deleting the file at which a page ended does not disturb the next page."""
    with Store(folder) as store:
        oldest, middle, newest = (put(store) for _ in range(3))
        store.delete(middle.id)
        assert [oldest] == store.page(9, after=middle.key)[0]
        assert [newest] == store.page(9, before=middle.key)[0]


def test_permissions(folder):
    """Nobody but the owner can look into the folder."""
    with Store(folder) as store:
        put(store)
        folders = [folder, folder / "blobs", folder / "incoming"]
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in folders}
        assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in files}


def test_durable(folder):
    """SQLite brings every commit to the disk, and WAL lets readers pass."""
    with Store(folder) as store:
        assert (2,) == store._writer.execute("PRAGMA synchronous").fetchone()
        assert ("wal",) == store._writer.execute("PRAGMA journal_mode").fetchone()


def test_order_of_steps(folder, monkeypatch):
    """Bytes are synced before they are renamed, the rename before the row is written, the row before it is told."""
    steps = []

    def note(name, function):
        def noted(*arguments):
            steps.append(name)
            return function(*arguments)

        return noted

    with Store(folder) as store, store.receive() as incoming:
        incoming.write(b"x")
        monkeypatch.setattr(os, "fsync", note("fsync", os.fsync))
        monkeypatch.setattr(type(incoming.path), "replace", note("rename", type(incoming.path).replace))
        store._writer.set_trace_callback(lambda statement: steps.append(statement.split()[0]))
        store.publish(incoming, "a.txt", "text/plain")
        assert ["fsync", "BEGIN", "rename", "fsync", "INSERT", "COMMIT"] == steps


def test_failed_row(folder):
    """If the row cannot be written the bytes go too, and the next file is stored."""
    with Store(folder) as store:
        store._writer.execute("CREATE TRIGGER no BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError, match="no"):
            put(store)
        assert set() == blobs(folder) | arriving(folder)
        store._writer.execute("DROP TRIGGER no")
        stored = put(store)
        assert {stored.key} == blobs(folder)


def test_published_is_published(folder, monkeypatch):
    """A file that was stored is told of, though nothing can be removed at that moment."""

    def refuse(*arguments, **options):
        raise OSError(5, "Input/output error")

    with Store(folder) as store:
        monkeypatch.setattr(pathlib.Path, "unlink", refuse)
        stored = put(store)
        monkeypatch.undo()
        assert [stored] == store.page(9)[0]


def test_sweep(folder):
    """What a crash leaves behind is gone after the next start; what was acknowledged is not."""
    with Store(folder) as store:
        stored = put(store)
    (folder / "blobs" / ("z" * 24)).write_bytes(b"orphan")
    (folder / "incoming" / "0123456789abcdef-0").write_bytes(b"half")
    (folder / "incoming" / "0123456789abcdef.lock").touch()
    with Store(folder):
        assert {stored.key} == blobs(folder)
        assert set() == arriving(folder)


def test_sweep_spares_the_living(folder):
    """A store that is opened while another one receives leaves the other's bytes alone."""
    with Store(folder) as first, first.receive() as incoming:
        incoming.write(b"early ")
        with Store(folder):
            incoming.write(b"late")
            stored = first.publish(incoming, "a.txt", "text/plain")
        assert b"early late" == (folder / "blobs" / stored.key).read_bytes()


def test_sweep_of_rows(folder):
    """A row whose bytes are gone is not listed after the next start."""
    with Store(folder) as store:
        gone, stays = put(store), put(store)
    (folder / "blobs" / gone.key).unlink()
    with Store(folder) as store:
        assert [stays] == store.page(9)[0]


def test_sweep_spares_folders(folder):
    """A folder that an editor made among the bytes does not keep the store from opening."""
    with Store(folder) as store:
        stored = put(store)
    for place in ("blobs", "incoming"):
        (folder / place / ".ipynb_checkpoints").mkdir()
    with Store(folder) as store:
        assert [stored] == store.page(9)[0]


def test_expiry(folder, monkeypatch):
    """Bytes of an expired file go at the next start, its row 30 days later."""
    with Store(folder) as store:
        stored = put(store, lifetime=3600)
        assert 3600 * 1_000_000 == stored.expires_at - stored.created_at
        assert not stored.expired
    monkeypatch.setattr(_store, "now", lambda: stored.expires_at + 1)
    with Store(folder) as store:
        assert stored.expired
        assert (stored, set()) == (store.get(stored.id), blobs(folder))
    monkeypatch.setattr(_store, "now", lambda: stored.expires_at + 31 * 86_400 * 1_000_000)
    with Store(folder) as store:
        assert None is store.get(stored.id)


def test_damage(folder):
    """Bytes that changed on the disk, or went, are never handed out."""
    with Store(folder) as store:
        stored = put(store, b"hello")
        (folder / "blobs" / stored.key).write_bytes(b"jello")
        with pytest.raises(DamagedError, match="changed"):
            store.open_content(stored)
        (folder / "blobs" / stored.key).unlink()
        with pytest.raises(DamagedError, match="missing"):
            store.open_content(stored)


def test_damaged_size(folder):
    """Bytes are not handed out under a size that is not theirs."""
    with Store(folder) as store:
        stored = put(store, b"hello")
        with pytest.raises(DamagedError, match="changed"):
            store.open_content(dataclasses.replace(stored, size_bytes=4))


NONSENSE = ["key = 'x'", "filename = CAST(x'ff' AS TEXT)", "filename = x'00'", "mime_type = 'a/b' || char(10)",
            "size_bytes = -1", "size_bytes = 'x'", "created_at = 1 << 60", "expires_at = 0.5",
            "downloadable = 7"]  # fmt: skip


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_damaged_row(folder, nonsense):
    """An index with a row that cannot be told of is refused, as every list of files would fail."""
    with Store(folder) as store:
        put(store)
        store._writer.execute(f"UPDATE files SET {nonsense}")
    with pytest.raises(_errors.Error, match="blobs folder"):
        Store(folder)


def test_damaged_page(folder):
    """A page that is no page is refused in one line, though SQLite speaks of it in two."""
    with Store(folder) as store:
        put(store)
    with (folder / "files.sqlite").open("r+b") as index:
        index.seek(4096)
        index.write(b"nonsense" * 512)
    with pytest.raises(_errors.Error, match="blobs folder") as caught:
        Store(folder)
    assert "\n" not in str(caught.value)


def test_damaged_index(folder):
    """An index that is no database is refused in one line that says where the bytes are."""
    with Store(folder):
        pass
    (folder / "files.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(_errors.Error, match="blobs folder"):
        Store(folder)


def test_an_index_whose_schema_is_no_text(folder):
    """Bytes that SQLite puts into its own error, and Python cannot read there, are a damaged index like any other."""
    with Store(folder):
        pass
    path = folder / "files.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as index:
        index.execute("PRAGMA writable_schema = ON")
        index.execute("UPDATE sqlite_master SET name = CAST(X'ff8e' AS TEXT), sql = 'nonsense'")
        index.commit()
    with pytest.raises(_errors.Error, match=r"cannot be read: .* blobs folder"):
        Store(folder)


def test_newer_version(folder):
    """An index of a newer nbfiles is refused, not guessed at."""
    with Store(folder) as store:
        store._writer.execute("PRAGMA user_version = 99")
    with pytest.raises(_errors.Error, match="newer nbfiles"):
        Store(folder)


def test_foreign_folder(folder):
    """A folder that holds something else is refused, and its permissions stay."""
    folder.mkdir(mode=0o755)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(_errors.Error, match="holds other things"):
        Store(folder)
    assert 0o755 == stat.S_IMODE(folder.stat().st_mode)


def test_a_file_for_a_folder(tmp_path):
    """A path that is a file is refused in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(_errors.Error, match="cannot be used"):
        Store(tmp_path / "file")


def test_many_at_once(folder):
    """Writers and deleters of two stores on one folder never meet a locked database, and lose nothing."""
    stores = [Store(folder), Store(folder)]
    kept, faults = [], []

    def work(store):
        try:
            for number in range(10):
                stored = put(store, os.urandom(100))
                if number % 3:
                    kept.append(stored)
                else:
                    store.delete(stored.id)
        except Exception as error:  # noqa: BLE001  # whatever it is, the test must hear of it
            faults.append(error)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == faults
    assert {stored.key for stored in kept} == blobs(folder) == {file.key for file in stores[0].page(99)[0]}
    for store in stores:
        store.close()


def test_a_thread_left_behind(folder):
    """A write that comes after its upload was given up writes nowhere."""
    with Store(folder) as store:
        with store.receive() as incoming:
            pass
        incoming.write(b"late")
        assert 0 == incoming.size


@pytest.mark.parametrize(("error", "expected"), [
    (OSError(28, "No space left on device"), True), (OSError(5, "I/O error"), False), (ValueError(), False),
    (sqlite3.OperationalError("disk I/O error"), False)])  # fmt: skip
def test_is_full(error, expected):
    """A full disk is told from a broken one."""
    assert expected == is_full(error)


def test_is_full_sqlite():
    """SQLite's own word for a full disk counts too."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("CREATE TABLE t AS SELECT zeroblob(100000) AS x")
    connection.close()
    assert is_full(caught.value)


def test_default_folder(monkeypatch, tmp_path):
    """NBFILES_LOCAL_DIR decides, else the user's data folder."""
    monkeypatch.setenv("NBFILES_LOCAL_DIR", str(tmp_path / "mine"))
    assert tmp_path / "mine" == _store.default_folder()
    monkeypatch.delenv("NBFILES_LOCAL_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert "local" == _store.default_folder().name


def test_add_generated(folder):
    """A generated file is downloadable, and has the type that its name or the caller says."""
    named = add_generated("chart.csv", b"x,y\n", dir=folder)
    typed = add_generated("chart.bin", b"x,y\n", "text/csv", dir=folder)
    with Store(folder) as store:
        for file_id in (named, typed):
            stored = store.get(file_id)
            assert (True, "text/csv") == (stored.downloadable, stored.mime_type)
            with store.open_content(stored) as content:
                assert b"x,y\n" == content.read()


def test_add_generated_refuses(folder):
    """A name the Files API would refuse is refused before anything is stored."""
    with pytest.raises(_errors.FileNameError):
        add_generated("../chart.csv", b"", dir=folder)
    assert not folder.exists()


def test_lock_waits(folder, tmp_path):
    """A lock is had by one at a time, and by the next as soon as it is given back."""
    from nbfiles._lock import FileLock

    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    assert (True, False) == (first.try_acquire(), second.try_acquire())
    threading.Timer(0.05, first.release).start()
    began = time.monotonic()
    assert second.acquire(5)
    assert time.monotonic() - began < 2
    second.release()
