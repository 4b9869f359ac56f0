"""What the tests of sources share: a temporary folder that must be empty again, and a payload as it would arrive."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import pytest

from nbfiles import Files, sources


@dataclass(frozen=True)
class Arrived:
    """One file as a server would have it."""

    name: str
    mime_type: str
    content: bytes
    source: str
    notes: tuple[str, ...]


@pytest.fixture(autouse=True)
def spool(tmp_path_factory, monkeypatch):
    """A temporary folder of the test's own; whatever is left in it fails the test."""
    folder = tmp_path_factory.mktemp("spool")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert [] == sorted(folder.iterdir())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def send_all(obj, **request):
    """Return what arrives of `obj`, and whether it binds a list."""
    with sources.payloads(obj, sources.Request(**request)) as made:
        return [
            Arrived(each.name, each.mime_type, b"".join(each.chunks()), each.source, each.notes) for each in made
        ], made.many


@pytest.fixture
def send():
    """A function that returns what arrives of a source that is one file."""

    def one(obj, **request):
        (arrived,), many = send_all(obj, **request)
        assert many is False
        return arrived

    return one


@pytest.fixture
def send_many():
    """A function that returns all that arrives of a source that binds a list."""

    def several(obj, **request):
        arrived, many = send_all(obj, **request)
        assert many is True
        return arrived

    return several


@pytest.fixture
def store(shared_api):
    """A function that uploads a source to a local Files API, and returns the file as its store has it."""
    files = Files(api_key=shared_api.api_key, base_url=shared_api.base_url)

    def stored(obj, **options):
        options.setdefault("fresh", True)
        found = files.upload(obj, progress=False, **options).metadata
        content = shared_api.stored_bytes(found.id)
        assert len(content) == found.size_bytes
        return Arrived(found.filename, found.mime_type, content, "", ())

    return stored
