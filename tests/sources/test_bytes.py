"""Bytes in memory: all of them, under a name that tells what they are."""

import gzip
import io

import pytest

from nbfiles import sources
from nbfiles._errors import FileNameError, InputError
from nbfiles.sources import Request


def named_buffer(name):
    buffer = io.BytesIO(b"abc")
    buffer.name = name
    return buffer


@pytest.mark.parametrize(
    "obj",
    [b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a-b-c")[::2], io.BytesIO(b"abc")],
    ids=["bytes", "bytearray", "memoryview", "strided", "BytesIO"],
)
def test_kinds(send, obj):
    """Every kind of bytes arrives whole."""
    assert b"abc" == send(obj).content


@pytest.mark.parametrize("place", [0, 2, 99])
def test_buffer_keeps_its_position(send, place):
    """A BytesIO is sent from its start and stands afterwards where it stood before."""
    buffer = io.BytesIO(b"abc")
    buffer.seek(place)
    assert b"abc" == send(buffer).content
    assert place == buffer.tell()


def test_later_changes_do_not_reach_it():
    """A bytearray that changes after it was named is sent as it was."""
    data = bytearray(b"abc")
    with sources.payloads(data) as made:
        data[:] = b"xyz"
        assert b"abc" == b"".join(made.items[0].chunks())


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (b"", ".bin"), (b"\x00\x01", ".bin"), (b"\xff\xfe\xfd", ".bin"), (b"hello", ".txt"), ("é".encode(), ".txt"),
        (b"a" * 511 + "é".encode(), ".txt"), (b"%PDF-1.7", ".pdf"), (b"\x89PNG\r\n\x1a\n", ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"), (b"GIF89a", ".gif"), (b"RIFF\x00\x00\x00\x00WEBP", ".webp"),
        (b"PAR1", ".parquet"), (b"ARROW1\x00\x00", ".feather"), (b"PK\x03\x04", ".zip"), (gzip.compress(b"a"), ".gz"),
    ],
)  # fmt: skip
def test_ending_from_content(send, content, ending):
    """Without a name the ending is told from the first bytes, and the stem from the variable."""
    assert [f"data{ending}", f"x{ending}"] == [send(content).name, send(content, label="x").name]


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (named_buffer("a.csv"), "a.csv"),
        (named_buffer("/tmp/d/a.csv"), "a.csv"),
        (named_buffer("C:\\d\\a.csv"), "a.csv"),
        (named_buffer("<stdin>"), "x.txt"),
        (named_buffer(3), "x.txt"),
        (named_buffer("d/"), "x.txt"),
    ],
)
def test_name_of_a_buffer(send, obj, name):
    """A buffer that carries a file name is sent under it, without folders."""
    assert name == send(obj, label="x").name


def test_asked_name_wins(send):
    """A name that is asked for wins over the buffer's own, and decides the type."""
    arrived = send(named_buffer("a.csv"), name="b.json", for_="container")
    assert ("b.json", "application/json") == (arrived.name, arrived.mime_type)


def test_bad_requests():
    """A name or a type that cannot be is refused."""
    with pytest.raises(FileNameError):
        sources.payloads(b"", Request(name="a/b"))
    with pytest.raises(InputError, match="would make Claude read it as text"):
        sources.payloads(b"\x00", Request(type="text/plain"))


def test_digest_is_known():
    """Bytes are hashed at once, equal bytes to the same digest."""
    with sources.payloads(b"abc") as one, sources.payloads(io.BytesIO(b"abc")) as two:
        assert one.items[0].digest == two.items[0].digest
        assert one.items[0].digest is not None
