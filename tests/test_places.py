"""Places on a line: a URL or a packed folder is one name, a glob in a store is a list, and no signature is shown."""

from __future__ import annotations

import io
import zipfile

import fsspec
import pytest
from doubles import Server, answers
from shells import fresh_shell

import nbfiles
from nbfiles import FileId


@pytest.fixture
def shell(shared_api, monkeypatch, tmp_path):
    """A fresh shell in an empty folder, with the module's local Files API and an empty store in memory."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", shared_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", shared_api.api_key)
    monkeypatch.chdir(tmp_path)
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pipe({"/d/b.csv": b"b", "/d/a.csv": b"a"})
    with fresh_shell(tmp_path / "ipython") as made:
        yield made


@pytest.fixture
def web():
    """A web server with one file."""
    with Server(answers(200, b"from the web", etag='"1"')) as server:
        yield server


def test_a_web_address_binds_one_id(shell, shared_api, web):
    """A web address is one file; neither table, receipt nor plan shows what follows its ``?``."""
    ran = shell.run(f"%upload {web.url}/notes.txt?sig=SECRET as notes_id")
    planned = shell.run(f"%upload {web.url}/notes.txt?sig=SECRET as notes_id --dry-run")
    assert (None, None) == (ran.error, planned.error)
    assert b"from the web" == shared_api.stored_bytes(shell.names["notes_id"])
    assert [f"{web.url}/notes.txt?…"] == list(ran.value["source"])
    assert "SECRET" not in ran.printed + planned.printed


def test_a_glob_in_a_store_binds_a_list(shell, shared_api):
    """A glob of a store is a list in its order, and so is its folder; one object is one id."""
    shell.do("%upload memory://d/*.csv as ids, memory://d/ as all_ids, memory://d/a.csv as one")
    for name in ("ids", "all_ids"):
        assert [b"a", b"b"] == [shared_api.stored_bytes(each) for each in shell.names[name]]
    assert isinstance(shell.names["one"], FileId)


def test_a_text_that_is_a_url(shell, shared_api, web):
    """An f-string or a variable that gives a URL is that URL."""
    shell.do(f"base = 'memory://d'; address = '{web.url}/a.txt'")
    shell.do('%upload f"{base}/a.csv" as one, address as two')
    assert b"a" == shared_api.stored_bytes(shell.names["one"])
    assert b"from the web" == shared_api.stored_bytes(shell.names["two"])


def test_a_packed_folder_binds_one_id(shell, shared_api, tmp_path):
    """--zip binds one id; the same folder again is the file that is there already."""
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    shell.do("%upload data/ as first --zip")
    shell.do("%upload data as second --zip")
    first, second = shell.names["first"], shell.names["second"]
    assert (True, "data.zip") == (first == second, first.metadata.filename)
    with zipfile.ZipFile(io.BytesIO(shared_api.stored_bytes(first))) as archive:
        assert ["a.txt", "sub/b.txt"] == archive.namelist()


def test_python_says_the_same(shell, shared_api, web):
    """``upload`` takes a URL with options, ``upload_many`` a glob of a store, and ``zip=True`` a folder."""
    one = nbfiles.upload(f"{web.url}/a.txt", storage_options={"X-Of": "mine"}, progress=False)
    assert b"from the web" == shared_api.stored_bytes(one)
    assert {"mine"} == {exchange.header("x-of") for exchange in web.exchanges}
    assert ["a.csv", "b.csv"] == list(nbfiles.upload_many("memory://d/*.csv", progress=False)["filename"])
    assert "d.zip" == nbfiles.upload("memory://d/", zip=True, progress=False).metadata.filename


def test_too_large_is_said_before_anything_is_sent(shell, shared_api, monkeypatch):
    """One object over the limit stops the line: a store's list says its size, so nothing is sent."""
    before = shared_api.stored_ids()
    shell.do("%config NbFiles.max_file_size = 0")
    try:
        ran = shell.run("%upload memory://d/*.csv as ids")
    finally:
        shell.do("%config NbFiles.max_file_size = 524288000")
    assert "a.csv has 1 bytes; one file may have 0 at most. Nothing was sent." in ran.printed
    assert (before, False) == (shared_api.stored_ids(), "ids" in shell.names)
