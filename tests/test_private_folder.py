"""What nbfiles keeps of its user's is its user's alone, from the moment it is made."""

from __future__ import annotations

import os
import stat
from contextlib import closing

import pytest

from nbfiles import _ledger, _private_folder
from nbfiles._ledger import Ledger
from nbfiles.local._store import Store, default_folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of data that is not there yet, two levels down, and a umask that lets everybody in."""
    monkeypatch.delenv("NBFILES_LEDGER")
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path / "new" / "share"))
    before = os.umask(0)
    yield tmp_path / "new"
    os.umask(before)


def modes(top):
    """Return the modes of the folders from `top` down, and those of the files in them."""
    paths = [top, *top.rglob("*")]
    return tuple(
        {oct(stat.S_IMODE(path.stat().st_mode)) for path in paths if path.is_dir() is way} for way in (True, False)
    )


def work_in_the_store():
    """Put a file into the local Files API's folder."""
    with Store(default_folder()) as store, store.receive() as incoming:
        incoming.write(b"x")
        store.publish(incoming, "a.txt", "text/plain")
        yield


def work_in_the_ledger():
    """Write a line into the ledger."""
    with closing(Ledger(_ledger._default_path())) as ledger:
        ledger.account("place", "key").begin(name="a.txt", mime_type="text/plain", size=1)
        assert "" == ledger.note
        yield


@pytest.mark.parametrize(
    "works", [(work_in_the_store,), (work_in_the_ledger,), (work_in_the_store, work_in_the_ledger)]
)
def test_nobody_else_can_look(data, works):
    """Whoever of the two comes first: each folder that was made is 0700 and each file 0600, while it is in use too."""
    for work in works:
        for _ in work():
            assert ({"0o700"}, {"0o600"}) == modes(data)
    assert ({"0o700"}, {"0o600"}) == modes(data)


def test_what_exists_is_left(tmp_path):
    """A folder that was there before keeps its mode: it may be anybody's."""
    (tmp_path / "shared").mkdir(0o755)
    (tmp_path / "shared").chmod(0o755)
    _private_folder.make(tmp_path / "shared")
    _private_folder.make(tmp_path / "shared" / "a" / "b")
    assert 0o755 == stat.S_IMODE((tmp_path / "shared").stat().st_mode)
    assert ({"0o700"}, set()) == modes(tmp_path / "shared" / "a")


@pytest.mark.parametrize("name", ["file", "file/below", "file/below/it"])
def test_what_cannot_be_a_folder(tmp_path, name):
    """A file in the way is an error of the system's."""
    (tmp_path / "file").touch()
    with pytest.raises((FileExistsError, NotADirectoryError)):
        _private_folder.make(tmp_path / name)
