"""Payload: exactly the bytes that were measured, or SourceChangedError before the last of them is out."""

import hashlib
import io
import os
import sys
import tempfile

import pytest

from nbfiles import _payload
from nbfiles._errors import FileNameError, InputError, SourceChangedError, SourceError
from nbfiles._payload import CHUNK, Digest, Payload, Payloads, Spool, bytes_payload, file_payload

DATA = os.urandom(CHUNK) * 3 + b"end"  # four pieces


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "a.bin"
    made.write_bytes(DATA)
    return made


@pytest.fixture
def spool_folder(tmp_path, monkeypatch):
    """A temporary folder of the test's own."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# -- F1: the source changes


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path):
    os.truncate(path, len(DATA) - 10)


def rewrite(path):
    with path.open("r+b") as file:
        file.write(b"\xff" * len(DATA))


def replace(path):
    new = path.with_name("new")
    new.write_bytes(DATA)
    new.replace(path)


def empty(path):
    os.truncate(path, 0)


def touch(path):
    info = path.stat()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 1_000_000))


CHANGES = [grow, shrink, rewrite, replace, empty, touch]


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("change", CHANGES)
def test_change_while_it_is_read(path, change, after):
    """Whatever happens to a file while it is read, its last piece is never sent as if nothing had happened."""
    payload = file_payload(path)
    chunks = payload.chunks()
    got = [next(chunks) for _ in range(after)]
    change(path)
    with pytest.raises(SourceChangedError) as caught:
        got += chunks  # extends piece by piece
    assert sum(map(len, got)) < payload.size
    assert str(path) in caught.value.cause
    assert "Nothing was bound" in caught.value.way_out


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_a_small_file(tmp_path, change):
    """A file of one piece that changed after it was measured sends no byte."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 20)
    payload = file_payload(path)
    if change is shrink:
        os.truncate(path, 10)
    elif change is replace:
        (tmp_path / "new").write_bytes(b"x" * 20)
        (tmp_path / "new").replace(path)
    elif change is rewrite:
        with path.open("r+b") as file:
            file.write(b"y" * 20)
    else:
        change(path)
    got = []
    with pytest.raises(SourceChangedError):
        got += payload.chunks()
    assert [] == got


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_removed_while_it_is_read(path):
    """A file that is removed while it is read is a changed one."""
    chunks = file_payload(path).chunks()
    next(chunks)
    path.unlink()
    with pytest.raises(SourceChangedError):
        list(chunks)


def test_empty_file_that_grows(tmp_path):
    """An empty file that is not empty any more is a changed one."""
    path = tmp_path / "a.txt"
    path.touch()
    payload = file_payload(path)
    path.write_bytes(b"x")
    with pytest.raises(SourceChangedError, match="became longer"):
        list(payload.chunks())


# -- exact bytes


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
def test_exact_bytes(tmp_path, size):
    """A file of any size is yielded in pieces of at most 1 MiB, none empty, and as often as asked."""
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(size))
    payload = file_payload(path)
    for _ in range(2):
        pieces = list(payload.chunks())
        assert path.read_bytes() == b"".join(pieces)
        assert all(0 < len(piece) <= CHUNK for piece in pieces)
    assert size == payload.size


def test_attempts_are_independent(path):
    """An attempt that was given up half-way does not disturb the next."""
    payload = file_payload(path)
    first = payload.chunks()
    next(first)
    assert b"".join(payload.chunks()) == DATA
    first.close()


def test_short_reads():
    """A reader that gives less than asked for is read on to the end."""

    class Dribble(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    payload = Payload("a.bin", "x/y", 10, lambda: Dribble(b"0123456789"), "<x>")
    assert b"0123456789" == b"".join(payload.chunks())


@pytest.mark.parametrize(("size", "words"), [(9, "became longer"), (11, "became shorter")])
def test_any_reader_must_keep_its_size(size, words):
    """A reader that has more or less than was said is refused before the last piece."""
    payload = Payload("a.bin", "x/y", size, lambda: io.BytesIO(b"0123456789"), "<\u202e>")
    got = []
    with pytest.raises(SourceChangedError, match=words) as caught:
        got += payload.chunks()
    assert [] == got
    assert "<<U+202E>>" in caught.value.cause


# -- what it is called


def test_name_and_type(path):
    """The name is the path's or the one asked for; the type follows the name and the content."""
    assert ("a.bin", "application/octet-stream") == (file_payload(path).name, file_payload(path).mime_type)
    asked = file_payload(path, name="b.dat", asked="x/y")
    assert ("b.dat", "x/y", str(path)) == (asked.name, asked.mime_type, asked.source)
    path.write_bytes(b"%PDF-1.7")
    assert "application/pdf" == file_payload(path, name="paper").mime_type


def test_bad_name_and_type(path):
    """A name or type that cannot be sent is refused when the payload is made."""
    with pytest.raises(FileNameError):
        file_payload(path, name="a/b")
    with pytest.raises(FileNameError):
        bytes_payload(b"", name="", source="x")
    with pytest.raises(InputError):
        file_payload(path, purpose="document")


def test_folder_names_the_form_for_folders(tmp_path):
    """A folder where a file must stand is refused with the form that sends its files."""
    with pytest.raises(SourceError) as caught:
        file_payload(tmp_path)
    assert "is a folder, not a file" in caught.value.cause
    assert "%upload folder/" in caught.value.way_out


# -- digests


@pytest.mark.parametrize("size", [0, 1, CHUNK + 1])
def test_digest(size, spool_folder):
    """The digest is tagged with its algorithm, and the same for the same bytes however they come."""
    data = os.urandom(size)
    whole, parts = Digest(), Digest()
    whole.update(data)
    for start in range(0, size, 1000):
        parts.update(data[start : start + 1000])
    with Spool() as spool:
        spool.write(data)
        spooled = spool.payload(name="a.bin", source="x")
    spooled.close()
    assert str(whole) == str(parts) == bytes_payload(data, name="a.bin", source="x").digest == spooled.digest
    assert str(whole).startswith("blake3:")


def test_digest_without_blake3(monkeypatch):
    """Where the package is missing, the digest is SHA-256 and says so."""
    monkeypatch.setitem(sys.modules, "blake3", None)
    digest = Digest()
    digest.update(b"abc")
    assert f"sha256:{hashlib.sha256(b'abc').hexdigest()}" == str(digest)


# -- spool


def test_spool(spool_folder):
    """What is written is sent; the file lives as long as the payload, and closing twice is fine."""
    with Spool() as spool:
        assert [3, 3, 2] == [spool.write(part) for part in (b"abc", bytearray(b"def"), memoryview(b"gh"))]
        payload = spool.payload(name="a.txt", source="df", notes=("n",))
    assert (8, "text/plain", "df", ("n",)) == (payload.size, payload.mime_type, payload.source, payload.notes)
    assert b"abcdefgh" == b"".join(payload.chunks())
    assert 1 == len(list(spool_folder.iterdir()))
    payload.close()
    payload.close()
    assert [] == list(spool_folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_spool_is_private(spool_folder):
    """A temporary file can be read by its owner alone."""
    with Spool() as spool:
        assert 0o600 == spool.path.stat().st_mode & 0o777


def test_spool_left_without_payload(spool_folder):
    """A temporary file that becomes no payload is removed, after an error too."""
    with Spool() as spool:
        spool.write(b"abc")
    with pytest.raises(KeyboardInterrupt), Spool():
        raise KeyboardInterrupt
    with pytest.raises(FileNameError), Spool() as spool:
        spool.payload(name="a/b", source="x")
    assert [] == list(spool_folder.iterdir())


def test_spool_adopts(spool_folder):
    """What a library wrote to the file by itself is measured and hashed."""
    with Spool() as spool:
        spool.path.write_bytes(DATA)
        spool.adopt()
        payload = spool.payload(name="a.bin", source="x")
    assert (len(DATA), bytes_payload(DATA, name="a.bin", source="x").digest) == (payload.size, payload.digest)
    assert b"".join(payload.chunks()) == DATA
    payload.close()


def test_spool_that_vanished(spool_folder):
    """A temporary file that somebody removed is an error in words."""
    with Spool() as spool:
        spool.write(b"abc")
        payload = spool.payload(name="a.txt", source="x")
    next(spool_folder.iterdir()).unlink()
    with pytest.raises(SourceError):
        list(payload.chunks())
    payload.close()


def test_payloads_close_all(spool_folder):
    """Payloads close every one of theirs when they are left, after an error too."""
    items = []
    for _ in range(3):
        with Spool() as spool:
            items.append(spool.payload(name="a.txt", source="x"))
    made = Payloads(items, many=True)
    assert (3, True, items) == (len(made), made.many, list(made))
    with pytest.raises(ZeroDivisionError), made:
        raise ZeroDivisionError
    assert [] == list(spool_folder.iterdir())


def test_check_is_needed(path):
    """The guard of the file's version is what finds a rewrite of the same size: without it nothing would."""
    payload = file_payload(path)
    rewrite(path)
    with payload.open() as reader:
        assert reader.check_unchanged() is False
    assert len(DATA) == path.stat().st_size
    assert _payload.HEAD >= 512
