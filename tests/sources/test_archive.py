"""Archives: a folder as one zip, the same bytes from the same files, and nothing from outside the folder."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import zipfile

import pytest

from nbfiles import sources
from nbfiles._config import settings
from nbfiles._errors import FileTooLargeError, InputError, SourceChangedError, SourceError
from nbfiles._payload import Payload
from nbfiles.sources import Request, _archive

posix = pytest.mark.skipif(sys.platform == "win32", reason="links and permissions as POSIX has them")


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def packed(arrived):
    """Return what is in an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(arrived.content)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_a_folder_is_one_archive(here, send):
    """The archive has the folder's name, holds every file under its path in the folder, and is one file."""
    write(here, data__b_dot_txt=b"b" * 5000, data__sub__a_dot_csv=b"a", data__sub__empty=b"")
    arrived = send("data", zip=True)
    assert ("data.zip", "application/zip", "data") == (arrived.name, arrived.mime_type, arrived.source)
    assert {"b.txt": b"b" * 5000, "sub/a.csv": b"a", "sub/empty": b""} == packed(arrived)
    assert len(arrived.content) < 2000


def test_the_same_files_give_the_same_bytes(here, send):
    """Times, modes, the order on disk and the folder's name change nothing, so an archive is known again."""
    write(here, one__z=b"z", one__a=b"a" * 9999, one__m__n_dot_png=os.urandom(999))
    first = send("one", zip=True).content
    for name in ("z", "a", "m/n.png"):
        content = (here / "one" / name).read_bytes()
        write(here, **{f"two__{name.replace('/', '__')}": content})
        os.utime(here / "two" / name, (1, 1))
        (here / "two" / name).chmod(0o600)
    assert first == send("two", zip=True).content
    write(here, one__a=b"b" * 9999)
    assert first != send("one", zip=True).content


def test_the_bytes_are_the_same_everywhere(here, send):
    """What is written beside the content (order, time, system, mode) is fixed: this digest is of every machine."""
    write(here, data__b_dot_png=b"12345", data__a_dot_png=b"1")  # .png: stored as it is, so no zlib's choice
    digest = hashlib.sha256(send("data", zip=True).content).hexdigest()
    assert "4694e9ff440537e79917f223587ff2318810b87d036e37052211f9e5a4844086" == digest


def test_include_exclude_and_private_files(here, send):
    """The same files are in it as without --zip, and the receipt says what was kept back."""
    write(here, data__a_dot_csv=b"a", data__b_dot_csv=b"b", data__c_dot_txt=b"c", data___dot_env=b"KEY")
    arrived = send("data", zip=True, include=("*.csv",), exclude=("b*",))
    assert {"a.csv": b"a"} == packed(arrived)
    everything = send("data", zip=True)
    assert {"a.csv", "b.csv", "c.txt"} == set(packed(everything))
    assert ("Left out as hidden or a key: .env. --include sends them.",) == everything.notes


@posix
def test_links_lead_nowhere_outside(here, send):
    """A link within the folder is sent as what it leads to; one that leads out is left out, and the receipt says so."""
    write(here, secret__key_dot_txt=b"SECRET", data__a_dot_txt=b"a")
    (here / "data/same.txt").symlink_to("a.txt")
    (here / "data/out.txt").symlink_to(here / "secret/key.txt")
    (here / "data/folder").symlink_to(here / "secret")
    arrived = send("data", zip=True)
    assert {"a.txt": b"a", "same.txt": b"a"} == packed(arrived)
    assert ("Left out, as links that lead out of the folder: folder, out.txt.",) == arrived.notes


@posix
def test_a_linked_folder_is_a_folder(here, send):
    """The folder that is named may itself be a link: what is outside is judged by where it leads."""
    write(here, real__a_dot_txt=b"a")
    (here / "link").symlink_to("real")
    assert {"a.txt": b"a"} == packed(send("link", zip=True))


def test_a_name_is_the_archives(here, send):
    """--name names the archive; names within it may be what no file of the API may be called."""
    write(here, data__a=b"a")
    odd = "a" * 200 + ".x"
    (here / "data" / odd).write_bytes(b"odd")
    arrived = send("data/", zip=True, name="parts.zip")
    assert ("parts.zip", {"a": b"a", odd: b"odd"}) == (arrived.name, packed(arrived))


def test_the_current_folder_has_a_name(here, send):
    """``.`` is packed under the name that it has."""
    write(here, a=b"a")
    assert f"{here.name}.zip" == send(".", zip=True).name


def test_an_empty_folder_is_no_archive(here):
    """A folder without a file to send is refused, as without --zip."""
    (here / "data").mkdir()
    with pytest.raises(SourceError, match="no file to send in data"):
        sources.payloads("data", Request(zip=True))


def test_the_limit_is_checked_while_packing(here, monkeypatch):
    """An archive that grows beyond the limit is given up at once, and leaves no temporary file."""
    write(here, data__a_dot_png=os.urandom(1 << 20), data__b_dot_png=os.urandom(1 << 20))
    monkeypatch.setattr(settings(), "max_file_size", 1 << 20)
    with pytest.raises(FileTooLargeError, match=r"data\.zip is over 1,048,576 bytes"):
        sources.payloads("data", Request(zip=True))


def test_a_file_that_changes_while_it_is_packed(here, monkeypatch):
    """A member that is written to meanwhile ends the packing: an archive is of one moment or of none."""
    write(here, data__a_dot_txt=b"a" * 10)
    real = Payload.chunks

    def chunks(payload, digest=None):
        yield from real(payload, digest)
        write(here, data__a_dot_txt=b"b" * 10)
        yield from real(payload, digest)

    monkeypatch.setattr(Payload, "chunks", chunks)
    with pytest.raises(SourceChangedError, match="Nothing was bound"):
        sources.payloads("data", Request(zip=True))


def test_large_members_use_zip64(monkeypatch, here, send):
    """A member beyond the old format's limit is packed in the new one, and only then."""
    write(here, data__a_dot_bin=b"\0" * 70_000)
    plain = send("data", zip=True).content
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 60_000)
    large = send("data", zip=True)
    assert (False, True) == (b"\x01\x00\x10\x00" in plain, b"\x01\x00\x10\x00" in large.content)
    assert {"a.bin": b"\0" * 70_000} == packed(large)


@pytest.mark.parametrize("source", ["a.txt", "*.txt"])
def test_only_a_folder_is_packed(here, source):
    """--zip with a file or a glob is refused: it would not do what it says."""
    write(here, a_dot_txt=b"a")
    with pytest.raises(InputError, match="--zip is for a folder"):
        sources.payloads(source, Request(zip=True))


def test_a_full_disk_is_said(here, monkeypatch):
    """Where the archive cannot be written the error says why, and no temporary file stays."""
    write(here, data__a=b"a")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_archive, "_add", full)
    with pytest.raises(SourceError, match=r"data\.zip cannot be packed: No space left on device"):
        sources.payloads("data", Request(zip=True))
