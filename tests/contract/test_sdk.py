"""The official SDK is a client of the local Files API like of any other: same verbs, same answers, same errors."""

from __future__ import annotations

import asyncio

import anthropic
import pytest

from nbfiles.local import add_generated

LEGACY = {"anthropic-beta": "files-api-2025-04-14"}


@pytest.fixture
def sdk(local_api):
    with anthropic.Anthropic(base_url=local_api.base_url, api_key=local_api.api_key, max_retries=0) as client:
        yield client


@pytest.fixture(params=["files", "beta.files"])
def files(request, sdk):
    """The verbs, at either of their places."""
    return sdk.files if request.param == "files" else sdk.beta.files


def run(local_api, place, work):
    """Give `work` the async verbs, and run it."""

    async def main():
        async with anthropic.AsyncAnthropic(
            base_url=local_api.base_url, api_key=local_api.api_key, max_retries=0
        ) as client:
            return await work(client.files if place == "files" else client.beta.files)

    return asyncio.run(main())


def test_upload(local_api, files, tmp_path):
    """An open file, a path, a tuple and bare bytes arrive as they are."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF-" + bytes(100_000))
    with path.open("rb") as opened:
        stored = [files.upload(file=source) for source in (opened, path, ("n.csv", b"a,b", "text/plain"), b"bare")]
    assert ["report.pdf", "report.pdf", "n.csv", "unnamed"] == [file.filename for file in stored]
    assert ["application/pdf"] * 2 + ["text/plain", "application/octet-stream"] == [file.mime_type for file in stored]
    contents = [path.read_bytes(), path.read_bytes(), b"a,b", b"bare"]
    assert contents == [local_api.stored_bytes(file.id) for file in stored]
    assert [len(content) for content in contents] == [file.size_bytes for file in stored]


def test_names(files):
    """Names outside ASCII arrive, and folders before a name do not."""
    assert "Ünï – 文.txt" == files.upload(file=("Ünï – 文.txt", b"x")).filename
    assert "a.txt" == files.upload(file=("some/folder\\a.txt", b"x")).filename


def test_expiry(files):
    """A lifetime is kept."""
    stored = files.upload(file=("a.txt", b"x"), expires_in_seconds=3600)
    assert 3600 == (stored.expires_at - stored.created_at).total_seconds()


def test_list(files):
    """The SDK's own paging finds all of 25 files, newest first, at 10 a page."""
    ids = [files.upload(file=(f"{number}.txt", b"x")).id for number in range(25)]
    page = files.list(limit=10)
    assert (10, True) == (len(page.data), page.has_next_page())
    assert ids[::-1] == [file.id for file in files.list(limit=10)]
    assert [ids[4], ids[2]] == [file.id for file in files.list(ids=[ids[2], ids[4], "file_gone"])]


def test_legacy_list(sdk):
    """With the beta header the SDK of today meets the legacy page, as it does at Anthropic."""
    ids = [sdk.files.upload(file=(f"{number}.txt", b"x")).id for number in range(3)]
    page = sdk.beta.files.list(limit=2, betas=["files-api-2025-04-14"])
    assert ids[:0:-1] == [file.id for file in page.data]
    assert {"has_more": True, "first_id": ids[2], "last_id": ids[1]} == page.model_extra


def test_metadata_and_delete(files):
    """A file is described as at its upload, until it is deleted."""
    stored = files.upload(file=("a.txt", b"x"))
    found = files.retrieve_metadata(stored.id)
    assert stored.model_dump() == found.model_dump()
    deleted = files.delete(stored.id)
    assert (stored.id, "file_deleted") == (deleted.id, deleted.type)
    with pytest.raises(anthropic.NotFoundError) as caught:
        files.retrieve_metadata(stored.id)
    assert caught.value.request_id.startswith("req_")
    with pytest.raises(anthropic.NotFoundError):
        files.delete(stored.id)


def test_download(local_api, files):
    """A generated file can be downloaded, an uploaded one is refused with 400."""
    generated = add_generated("plot.png", b"\x89PNG" + bytes(2_000_000), dir=local_api.dir)
    assert b"\x89PNG" + bytes(2_000_000) == files.download(generated).read()
    with pytest.raises(anthropic.BadRequestError) as caught:
        files.download(files.upload(file=("a.txt", b"x")).id)
    assert "file_not_downloadable" == caught.value.body["error"]["details"]["error_code"]


def test_errors(local_api, files):
    """Refusals arrive as the SDK's own errors."""
    with pytest.raises(anthropic.BadRequestError, match="Invalid filename"):
        files.upload(file=("a:b.txt", b"x"))
    with pytest.raises(anthropic.BadRequestError, match="expires_in_seconds"):
        files.upload(file=("a.txt", b"x"), expires_in_seconds=1)
    with (
        anthropic.Anthropic(base_url=local_api.base_url, api_key="no", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.files.list()


@pytest.mark.parametrize("place", ["files", "beta.files"])
def test_async(local_api, place):
    """The async client finds the same server."""
    generated = add_generated("plot.png", b"png", dir=local_api.dir)

    async def work(files):
        uploads = (files.upload(file=(f"{number}.txt", b"x" * number)) for number in range(25))
        stored = await asyncio.gather(*uploads)
        listed = [file.id async for file in files.list(limit=10)]
        found = await files.retrieve_metadata(stored[7].id)
        content = await (await files.download(generated)).read()
        deleted = await files.delete(stored[7].id)
        with pytest.raises(anthropic.BadRequestError):
            await files.download(stored[8].id)
        with pytest.raises(anthropic.NotFoundError):
            await files.retrieve_metadata(stored[7].id)
        return stored, listed, found, content, deleted

    stored, listed, found, content, deleted = run(local_api, place, work)
    assert sorted([*(file.id for file in stored), generated]) == sorted(listed)
    assert [(f"{number}.txt", number) for number in range(25)] == [(file.filename, file.size_bytes) for file in stored]
    assert (stored[7].model_dump(), b"png", stored[7].id) == (found.model_dump(), content, deleted.id)
