"""The Python face: the verbs, sync and async, against a local Files API in a process of its own."""

from __future__ import annotations

import asyncio
import io
import os
import warnings
from datetime import timedelta

import pandas as pd
import pytest
from doubles import Server, answers, metadata, silent
from workbench import becomes, workers

import nbfiles
from nbfiles import _files
from nbfiles._events import Done, Progress, Queued
from nbfiles.local import add_generated

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})


@pytest.fixture
def files(shared_api, monkeypatch, tmp_path):
    """A client of the module's server, and an empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return nbfiles.Files(base_url=shared_api.base_url, api_key=shared_api.api_key)


@pytest.fixture
def face(shared_api, monkeypatch, tmp_path):
    """The module's own functions, on the module's server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBFILES_API", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", shared_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", shared_api.api_key)
    monkeypatch.setattr(_files._State, "files", None)
    return nbfiles


def test_the_verbs(face, shared_api):
    """Upload, inspect, list, iterate and delete, as functions of the module."""
    file_id = face.upload(FRAME, name="sales.csv")
    assert isinstance(file_id, nbfiles.FileId)
    assert b"a,b\n1,x\n2,\xc3\xbc\n" == shared_api.stored_bytes(file_id)
    assert file_id.metadata == face.get_file(file_id)
    assert file_id == face.list_files(limit=1)["id"].item() == next(face.iter_files()).id
    assert [file_id] == face.list_files(match="sales.csv").nbfiles.ids()
    assert nbfiles.DeletedFile(file_id) == face.delete_file(file_id)
    with pytest.raises(nbfiles.NotFoundError):
        face.get_file(file_id)


def test_the_verbs_awaited(face):
    """Each verb has a twin for a running loop."""

    async def main():
        file_id = await face.upload_async(asyncio.sleep(0.01, FRAME), name="a.jsonl")
        table = await face.upload_many_async([b"1", asyncio.sleep(0, b"2")])
        found = [file.id async for file in face.iter_files_async()]
        assert {file_id, *table["id"]} <= set(found)
        assert file_id in (await face.list_files_async())["id"].tolist()
        assert "a.jsonl" == (await face.get_file_async(file_id)).filename
        return await face.delete_file_async(file_id)

    assert "file_deleted" == asyncio.run(main()).type


def test_many(files, tmp_path, shared_api):
    """Many sources give one row each, in their order; a glob and a folder stand for their files."""
    (tmp_path / "d").mkdir()
    for name in ("b.txt", "a.txt"):
        (tmp_path / "d" / name).write_text(name)
    stream = io.BytesIO(b"xyz")
    table = files.upload_many(["d/*.txt", FRAME, stream, nbfiles.text("hi", name="t.md")], jobs=2)
    assert ["a.txt", "b.txt"] == table["filename"].tolist()[:2]
    assert "t.md" == table["filename"].tolist()[-1]
    assert [b"a.txt", b"b.txt"] == [shared_api.stored_bytes(one) for one in table["id"][:2]]
    assert 5 == len(table)
    again = files.upload_many("d")
    assert ["a.txt", "b.txt"] == again["filename"].tolist()
    assert again is nbfiles.last


def test_partial_failure():
    """Some of several failed: one error, whose table and nbfiles.last have a row for each."""
    no = {"error": {"type": "x", "message": "no"}}
    with Server(answers(200, metadata(size_bytes=1, filename="a.txt")), answers(400, no)) as server:
        files = nbfiles.Files(base_url=server.url, api_key="k")
        with pytest.raises(nbfiles.UploadError, match="1 of 2 files failed") as caught:
            files.upload_many([nbfiles.text("1", name="a.txt"), nbfiles.text("2", name="b.txt")], jobs=1)
    table = caught.value.table
    assert ["uploaded", "failed"] == table["status"].tolist()
    assert table is nbfiles.last
    assert [nbfiles.BadRequestError] == [type(failure) for failure in caught.value.failures]


@pytest.mark.parametrize("expires", [86_400, "1d", "24h", timedelta(days=1)])
def test_an_expiry(files, expires):
    """An expiry may be seconds, the magic's words or a timedelta."""
    made = files.upload(b"x", expires=expires).metadata
    assert timedelta(days=1) == made.expires_at - made.created_at


def test_a_configured_expiry_can_be_undone(shared_api):
    """A default from the settings holds until ``"never"`` is said."""
    config = nbfiles.NbFiles(expires=3600)
    files = nbfiles.Files(base_url=shared_api.base_url, api_key=shared_api.api_key, config=config)
    assert (False, True) == (
        files.upload(b"x").metadata.expires_at is None, files.upload(b"x", expires="never").metadata.expires_at is None
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"exprires": 1}, "Did you mean expires"),
        ({"expires": 5}, "1h to 90d"),
        ({"expires": "7 days"}, "7d"),
        ({"jobs": 65}, "1 to 64"),
        ({"for_": "dokument"}, "document"),
        ({"format": "cvs"}, "csv"),
        ({"name": "a/b"}, "holds /"),
        ({"type": "x"}, "MIME"),
    ],
)
def test_options_that_cannot_be(files, shared_api, options, said):
    """An option that is not one, or cannot be as it is, is refused before anything is sent."""
    before = shared_api.stored_ids()
    with pytest.raises(nbfiles.InputError, match=said):
        files.upload(FRAME, **options)
    assert before == shared_api.stored_ids()


@pytest.mark.parametrize("filters", [{"sort": "colour"}, {"larger": "5"}, {"older": "yesterday"}, {"macth": "*"}])
def test_filters_that_cannot_be(files, filters):
    """A filter that cannot be read is refused."""
    with pytest.raises(nbfiles.InputError):
        files.list_files(**filters)


def test_a_download(files, shared_api, tmp_path):
    """What Claude made is fetched whole; what is there stays unless asked; what was uploaded cannot be fetched."""
    file_id = add_generated("chart.png", b"\x89PNG\r\n\x1a\n123", dir=shared_api.dir)
    path = files.download_file(file_id)
    assert (tmp_path / "chart.png", b"\x89PNG\r\n\x1a\n123") == (path, path.read_bytes())
    with pytest.raises(nbfiles.InputError, match="is there already"):
        files.download_file(file_id)
    assert path == asyncio.run(files.download_file_async(file_id, overwrite=True))
    with pytest.raises(nbfiles.NotDownloadableError):
        files.download_file(files.upload(b"mine"))
    assert [path] == list(tmp_path.iterdir())


def test_progress_goes_to_whoever_asks(files):
    """An observer is told of every step, in order."""
    events = []
    files.upload(b"hello", progress=events.append)
    assert [Queued, Progress, Done] == list(dict.fromkeys(type(event) for event in events))


def test_another_name_is_a_warning():
    """A server that keeps a file under another name is warned of, at the line that called."""
    with Server(answers(200, metadata(filename="other.txt", size_bytes=1))) as server:
        files = nbfiles.Files(base_url=server.url, api_key="k")
        with pytest.warns(UserWarning, match=r"a\.txt is stored as other\.txt") as caught:
            files.upload(nbfiles.text("1", name="a.txt"))
    assert __file__ == caught[0].filename


def test_a_local_id_warns_when_it_is_handed_over(files):
    """A block of a local id would mean nothing to Claude, and says so; the choice of block is checked."""
    file_id = files.upload(FRAME, name="a.csv")
    with pytest.warns(UserWarning, match="stored on this machine only"):
        assert {"type": "container_upload", "file_id": file_id} == file_id.block()
    with pytest.raises(nbfiles.InputError, match="cannot be used as image"):
        file_id.block("image")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = nbfiles.FileId("file_1").block("document")
    assert {"type": "document", "source": {"type": "file", "file_id": "file_1"}} == document


def test_a_cancelled_task_leaves_nothing(tmp_path, monkeypatch):
    """Cancelling an awaited upload, while it is encoded or sent, leaves no thread and no temporary file."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(temporary))
    frame = pd.DataFrame({"a": range(300_000), "b": 0.5})

    async def cancel(url, after):
        task = asyncio.create_task(nbfiles.Files(base_url=url, api_key="k").upload_async(frame))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Server(silent) as server:
        for after in (0.05, 1.5):
            asyncio.run(cancel(server.url, after))
            assert becomes([], workers, 6)
            assert becomes([], lambda: list(temporary.iterdir()), 6)


def test_using_the_local_api(monkeypatch, tmp_path):
    """``use("local")`` needs no account and starts the local Files API; an unknown place is refused."""
    monkeypatch.setenv("NBFILES_LOCAL_DIR", os.fspath(tmp_path))
    monkeypatch.setattr(_files._State, "files", None)
    with pytest.raises(nbfiles.InputError, match="no place"):
        nbfiles.use("lcoal")
    nbfiles.use("local")
    assert nbfiles.upload(b"x").startswith("file_local_")
    with pytest.raises(nbfiles.InputError):
        nbfiles.Files(local=True, api_key="k")
    from nbfiles._local_process import LOCAL

    LOCAL.stop()
