"""Stores: what fsspec reads is streamed, checked, and its credentials stay where they are; a real S3 is one of them."""

from __future__ import annotations

import builtins
import os
import time
from datetime import UTC, datetime

import boto3
import fsspec
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from nbfiles import sources
from nbfiles._errors import InputError, SourceChangedError, SourceError
from nbfiles._payload import CHUNK
from nbfiles.sources import Request, _stores

DATA = os.urandom(9 << 20) + b"the end"


@pytest.fixture
def memory():
    """An empty store in memory."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


@pytest.fixture(scope="module")
def s3():
    """An S3 on this machine, with a bucket; gives the options that reach it, and boto3's own client."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server._server.server_port}"
    options = {"key": "SECRETID", "secret": "SECRETKEY", "endpoint_url": address}
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    yield options, client
    client.close()
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_url_is_one_file(memory, send):
    """The object comes whole under its own name; the source shows where it was."""
    memory.pipe("/data/sales 1.csv", DATA)
    arrived = send("memory://data/sales 1.csv")
    assert ("sales 1.csv", "text/plain", DATA) == (arrived.name, arrived.mime_type, arrived.content)
    assert "memory://data/sales 1.csv" == arrived.source


def test_nothing_larger_than_a_chunk_is_handed_on(memory):
    """What is read from the store goes on in pieces of at most 1 MiB."""
    memory.pipe("/a.bin", DATA)
    with sources.payloads("memory://a.bin") as made:
        sizes = [len(piece) for piece in made.items[0].chunks()]
    assert (len(DATA), True) == (sum(sizes), max(sizes) <= CHUNK)


def test_a_type_is_told_by_content_where_the_name_does_not(memory, send):
    """An object without an ending is looked into."""
    memory.pipe("/report", b"%PDF-1.7 and so on")
    assert "application/pdf" == send("memory://report").mime_type


def test_a_glob_is_many_in_order(memory, send_many):
    """A glob binds a list, sorted, even of one, and keeps back what is hidden or a key."""
    memory.pipe({"/d/b.csv": b"b", "/d/a.csv": b"a", "/d/.hidden.csv": b"h", "/d/x/c.csv": b"c", "/d/n.txt": b"n"})
    found = send_many("memory://d/*.csv")
    assert [b"a", b"b"] == [each.content for each in found]
    assert ("Left out as hidden or a key: .hidden.csv. --include sends them.",) == found[0].notes
    assert [b"a", b"b", b"c"] == [each.content for each in send_many("memory://d/**/*.csv", exclude=(".h*",))]


def test_a_folder_is_all_files_below(memory, send_many):
    """A URL that ends in a slash is every file below it, through the same sieve as a folder of this machine."""
    memory.pipe({"/d/b.csv": b"b", "/d/x/a.txt": b"a", "/d/id_rsa": b"KEY", "/d/.git/config": b"g"})
    assert [b"b", b"a"] == [each.content for each in send_many("memory://d/")]
    assert [b"a"] == [each.content for each in send_many("memory://d/", include=("x/*",))]


def test_a_folder_in_a_store_is_packed(memory, here, send):
    """--zip packs a folder of a store as it packs one of this machine: the archives are equal."""
    memory.pipe({"/d/b.csv": b"b" * 999, "/d/x/a.txt": b"a"})
    (here / "d/x").mkdir(parents=True)
    (here / "d/b.csv").write_bytes(b"b" * 999)
    (here / "d/x/a.txt").write_bytes(b"a")
    there, this = send("memory://d/", zip=True), send("d", zip=True)
    assert (this.name, this.content) == (there.name, there.content)


def test_an_open_file_of_fsspec(memory, send):
    """What ``fsspec.open`` returns is a source too; one that unpacks is sent unpacked."""
    import gzip

    memory.pipe({"/a.txt": b"a" * 99, "/b.txt.gz": gzip.compress(b"b" * 99)})
    assert b"a" * 99 == send(fsspec.open("memory://a.txt")).content
    assert b"b" * 99 == send(fsspec.open("memory://b.txt.gz", compression="gzip"), name="b.txt").content


def test_a_chain_of_stores(memory, here, send_many):
    """fsspec's own chains work: files out of an archive that lies elsewhere."""
    import zipfile

    with zipfile.ZipFile(here / "a.zip", "w") as archive:
        archive.writestr("in/1.csv", "1")
        archive.writestr("in/2.csv", "2")
    assert [b"1", b"2"] == [each.content for each in send_many(f"zip://in/*.csv::file://{here}/a.zip")]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://nothing.csv", "there is no file memory://nothing.csv"),
        ("memory://d", "memory://d is a folder, not a file. To send the files in it, end it with a slash"),
        ("memory://d/*.pdf", r"no file matches memory://d/\*.pdf"),
        ("memory://nothing/", "there is no file memory://nothing/|no file to send in memory://nothing/"),
        ("nosuch://a/b.csv", "nothing here reads nosuch://a/b.csv"),
    ],
)
def test_what_is_not_there(memory, url, said):
    """A wrong place is said in one line that names it."""
    memory.pipe("/d/a.csv", b"a")
    with pytest.raises(SourceError, match=said):
        sources.payloads(url)


@pytest.mark.parametrize("change", [b"changed", None])
@pytest.mark.parametrize("when", ["before", "within"])
def test_a_change_is_seen(memory, change, when):
    """An object that is overwritten (or gone) before or while it is read is not sent to its end."""
    memory.pipe("/a.bin", DATA)
    got = []
    with sources.payloads("memory://a.bin") as made:
        pieces = made.items[0].chunks()
        if when == "within":
            got.append(next(pieces))
        time.sleep(1.1)  # where there is no better mark a change is seen by the second
        memory.rm("/a.bin")
        if change:
            memory.pipe("/a.bin", DATA[::-1])
        with pytest.raises((SourceChangedError, SourceError)):
            got.extend(pieces)
    assert sum(map(len, got)) < len(DATA)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"size": 5, "ETag": "abc", "LastModified": datetime(2026, 1, 1, tzinfo=UTC)}, True),
        ({"size": 5, "ETag": 'W/"abc"'}, True),
        ({"size": 5, "ETag": '"abd"', "LastModified": datetime(2026, 1, 1, tzinfo=UTC)}, False),
        ({"size": 6, "ETag": '"abc"'}, False),
        ({"size": 5, "LastModified": "2026-01-01T00:00:00Z"}, True),
        ({"size": 5, "LastModified": "Thu, 01 Jan 2026 00:00:00 GMT"}, True),
        ({"size": 5, "LastModified": 1767225600.9}, True),
        ({"size": 5, "LastModified": 1767225601}, False),
        ({"size": 5, "LastModified": "today"}, True),
        ({"size": 5}, True),
    ],
)
def test_what_a_store_says_in_two_ways(other, same):
    """A list's entry and an answer about one file are compared by what both say, however they spell it."""
    one = {"size": 5, "ETag": '"abc"', "LastModified": datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)}
    assert same is _stores.same_version(one, other)


@pytest.mark.parametrize(
    ("url", "package"),
    [("s3://b/a", "s3fs"), ("gs://b/a", "gcsfs"), ("az://b/a", "adlfs"), ("hf://datasets/o/r/a", "huggingface_hub")],
)
def test_a_missing_package_is_one_line(monkeypatch, url, package):
    """Without the package of a store the error names it and the extra that brings it."""
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] in {"fsspec", package}:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SourceError) as caught:
        sources.payloads(url)
    scheme = url.partition("/")[0]
    assert f"{scheme}// is read with {package}, which is not installed. pip install 'nbfiles[remote]'" == str(
        caught.value
    )


@pytest.mark.parametrize("key", ["key", "secret", "token", "account_key", "sas_token", "connection_string", "password"])
def test_a_key_on_the_line_is_refused(key):
    """--opt takes no key: the line is saved with the notebook; the error does not repeat it."""
    with pytest.raises(InputError, match=f"--opt {key} would be saved") as caught:
        sources.payloads("s3://bucket/a.csv", Request(opt=((key, "SECRET"),)))
    assert "SECRET" not in str(caught.value)


# -- a real S3 ---------------------------------------------------------------------------------------------------------


def test_s3(s3, send, send_many):
    """Objects of a real S3 arrive whole, one by its URL, many by a glob; options come from Python."""
    options, client = s3
    client.put_object(Bucket="bucket", Key="data/big.bin", Body=DATA)
    client.put_object(Bucket="bucket", Key="data/a.csv", Body=b"a")
    assert DATA == send("s3://bucket/data/big.bin", storage_options=options).content
    found = send_many("s3://bucket/data/*", storage_options=options)
    assert [("a.csv", b"a"), ("big.bin", DATA)] == [(each.name, each.content) for each in found]


def test_a_change_in_s3_is_seen(s3):
    """An object of the same size that is put in its place while it is read is told by its ETag."""
    options, client = s3
    client.put_object(Bucket="bucket", Key="change.bin", Body=DATA)
    with sources.payloads("s3://bucket/change.bin", Request(storage_options=options)) as made:
        pieces = made.items[0].chunks()
        got = len(next(pieces))
        client.put_object(Bucket="bucket", Key="change.bin", Body=DATA[::-1])
        with pytest.raises((SourceChangedError, SourceError)):
            got += sum(map(len, pieces))
    assert got < len(DATA)


def test_s3_credentials_do_not_show(s3, caplog):
    """Neither an error nor the repr of a payload or of what it holds shows the key that opens the store."""
    caplog.set_level("DEBUG")
    options, client = s3
    client.put_object(Bucket="bucket", Key="a.csv", Body=b"a")
    with sources.payloads("s3://bucket/a.csv", Request(storage_options=options)) as made:
        shown = repr(made.items[0])
    with pytest.raises(SourceError) as caught:
        sources.payloads("s3://nowhere/a.csv", Request(storage_options=options))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("nbfiles")]
    assert "SECRET" not in f"{shown}{caught.value!r}{ours}"
    assert "SECRET" not in repr(_stores._connect("s3://bucket/a.csv", "", Request(storage_options=options)))
