"""What the tests of sources share: a temporary folder that must be empty again, and a payload as it would arrive."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import pytest

from nbfiles import Files, sources
from nbfiles.sources import _columns, _csv, _csv_cells, _csv_numbers, _csv_texts, _csv_times, _table


@dataclass(frozen=True)
class Arrived:
    """One file as a server would have it."""

    name: str
    mime_type: str
    content: bytes
    source: str
    notes: tuple[str, ...]


@contextmanager
def _in_chunks(cells, *, few_rows=1, step=_columns.STEP, few=32):
    """Let a frame be written so many `cells` at a time, by pyarrow from `few_rows` rows on.

    Columns are looked at in pieces of `step` values, and up to `few` texts are replaced one by one. The file must not
    depend on any of them.
    """
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(_table, "CELLS", cells))
        stack.enter_context(mock.patch.multiple(_csv, FEW_ROWS=few_rows, _MORE=1, _LEAST=1))
        for module in (_csv_numbers, _csv_texts):
            stack.enter_context(mock.patch.object(module, "_FEW", few))
        for module in (_columns, _csv_cells, _csv_times):
            stack.enter_context(mock.patch.object(module, "STEP", step))
        yield


@pytest.fixture(scope="session")
def in_chunks():
    """See `_in_chunks`."""
    return _in_chunks


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
