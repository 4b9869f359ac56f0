"""Open files: the whole file wherever it stands, and the position stays."""

import bz2
import gzip
import io
import os
import tempfile
import threading
import zipfile

import pytest

from nbfiles import sources
from nbfiles._errors import SourceError
from nbfiles.sources import Request

DATA = bytes(range(256)) * 5000  # more than one piece of 1 MiB


@pytest.fixture
def path(here):
    """A file on disk."""
    made = here / "a.bin"
    made.write_bytes(DATA)
    return made


@pytest.mark.parametrize("mode", ["rb", "r+b", "ab+"])
@pytest.mark.parametrize("buffering", [0, -1])
def test_file_on_disk(path, send, spool, mode, buffering):
    """A named file is sent whole from the disk, without a copy, and its position stays."""
    with path.open(mode, buffering=buffering) as file:
        file.seek(10)
        with sources.payloads(file) as made:
            assert [] == list(spool.iterdir())
            assert DATA == b"".join(made.items[0].chunks())
        assert ("a.bin", 10) == (send(file).name, file.tell())


def test_unwritten_bytes_are_sent(path, send):
    """What was written to an open file but not yet to the disk is part of it."""
    with path.open("r+b") as file:
        file.write(b"XY")
        assert b"XY" + DATA[2:] == send(file).content
        assert 2 == file.tell()


def test_removed_file(path, send):
    """A file that has no name any more is read through its descriptor, whole, and its position stays."""
    with path.open("rb") as file:
        path.unlink()
        file.seek(5)
        assert DATA == send(file, label="f").content
        assert 5 == file.tell()


def test_replaced_file(path, send):
    """If another file has taken the name, the open one is sent and not the other."""
    with path.open("rb") as file:
        path.unlink()
        path.write_bytes(b"other")
        assert DATA == send(file).content


@pytest.mark.parametrize("kind", [tempfile.TemporaryFile, tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile])
def test_temporary_files(send, kind):
    """Python's own temporary files are sent whole."""
    with kind() as file:
        file.write(DATA)
        file.seek(3)
        assert DATA == send(file, label="f").content
        assert 3 == file.tell()


@pytest.mark.parametrize(("opener", "ending"), [(gzip.open, ".gz"), (bz2.open, ".bz2")])
def test_packed_file(here, send, opener, ending):
    """A file opened through gzip or bz2 is sent as what is inside, and not under the packed name."""
    with opener(here / f"a.csv{ending}", "wb") as file:
        file.write(b"a,b\n")
    with opener(here / f"a.csv{ending}", "rb") as file:
        arrived = send(file, label="x.y")
    assert b"a,b\n" == arrived.content
    assert not arrived.name.endswith(ending)


def test_zip_member(here, send):
    """A member of a zip file is a file."""
    with zipfile.ZipFile(here / "a.zip", "w") as archive:
        archive.writestr("d/b.txt", "text")
    with zipfile.ZipFile(here / "a.zip") as archive, archive.open("d/b.txt") as member:
        arrived = send(member)
    assert ("b.txt", b"text") == (arrived.name, arrived.content)


def test_pipe(send):
    """A stream that cannot seek is sent from where it stands to its end."""
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as end:
            end.write(DATA)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as file:
        file.read(1)
        arrived = send(file, label="p")
    writer.join()
    assert ("p.bin", DATA[1:]) == (arrived.name, arrived.content)


def test_any_reader(send):
    """Whatever has a read() that gives bytes is a file; a name that it carries is used."""

    class Reader:
        name = "made/of.txt"

        def __init__(self):
            self.pieces = [b"ab", bytearray(b"cd"), memoryview(b"ef"), b""]

        def read(self, size):
            return self.pieces.pop(0)

    arrived = send(Reader())
    assert ("of.txt", b"abcdef") == (arrived.name, arrived.content)


@pytest.mark.parametrize("make", [lambda path: path.open(encoding="utf-8"), lambda path: io.StringIO("a")])
def test_text_mode(path, make):
    """A file opened as text is refused with the way to open it."""
    with make(path) as file, pytest.raises(SourceError, match="mode 'rb'"):
        sources.payloads(file, Request(label="f"))


@pytest.mark.parametrize(("given", "words"), [("text", "is open as text"), (3, "gave an int")])
def test_reader_of_something_else(given, words):
    """A read() that does not give bytes is refused."""

    class Reader:
        def read(self, size):
            return given

    with pytest.raises(SourceError, match=words):
        sources.payloads(Reader())


def test_closed_file(path):
    """A closed file is refused as closed."""
    with path.open("rb") as file:
        pass
    with pytest.raises(SourceError, match="is closed"):
        sources.payloads(file)


def test_write_only_file(here):
    """A file that is open for writing only is refused."""
    with (here / "w.bin").open("wb") as file, pytest.raises(SourceError, match="cannot be read"):
        sources.payloads(file)


@pytest.mark.parametrize("error", [OSError("input/output error"), KeyboardInterrupt(), RuntimeError("broken")])
def test_failing_reader(spool, error):
    """When reading fails in the middle, or Ctrl-C arrives, no temporary file stays."""

    class Reader:
        def read(self, size):
            if not next(spool.iterdir()).stat().st_size:
                return b"abc"
            raise error

    with pytest.raises(SourceError if isinstance(error, OSError) else type(error)):
        sources.payloads(Reader())
    assert [] == list(spool.iterdir())
