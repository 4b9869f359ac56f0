"""Bad input: each kind has its one line, nothing is sent, nothing is written, and the old binding is kept."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pandas as pd
import pytest
from recorder import Recorder
from shells import fresh_shell

import nbfiles


@pytest.fixture
def world(monkeypatch, tmp_path):
    """A shell in a folder with odd things in it, and a server that counts whoever connects."""
    folder, temporary = tmp_path / "work", tmp_path / "tmp"
    for made in (folder, folder / "folder", folder / "empty", temporary):
        made.mkdir()
    (folder / "report.pdf").write_bytes(b"%PDF-1.4")
    (folder / "folder" / "a.csv").write_text("a\n1\n")
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / ("n" * 251 + ".txt")).write_text("255 characters")
    (folder / "ques?tion.txt").write_text("x")
    with (folder / "big.bin").open("wb") as big:
        big.truncate(524_288_001)
    monkeypatch.setattr("tempfile.tempdir", os.fspath(temporary))
    monkeypatch.chdir(folder)
    with Recorder() as server, fresh_shell(tmp_path / "ipython") as shell:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary")
        shell.names["x"] = "old"
        shell.names["df"] = pd.DataFrame({"a": [1]})
        before = sorted(folder.rglob("*"))
        yield shell
        assert 0 == server.connections
        assert before == sorted(folder.rglob("*"))
    assert [] == list(temporary.iterdir())


LONG = "n" * 256
SHORT = f"{'n' * 40}…{'n' * 16}"  # as messages write it
PARQUET = "a.parquet is application/vnd.apache.parquet"
SOURCES = (
    "a path, glob or folder, bytes, an open binary file, a DataFrame or Series, an Arrow table, an array, a figure or "
    "picture, a dict, records, or a list of these"
)


PASSWORD = (
    "was given with a user name or a password in it, which would be saved with the notebook. "
    "Leave it out; in Python there is storage_options={...}."
)


@pytest.mark.parametrize(
    ("line", "said", "marked"),
    [
        (
            "%upload reprot.pdf as x",
            "there is no file reprot.pdf, and no name reprot; did you mean report.pdf?",
            "reprot.pdf",
        ),
        ("%upload 'reprot.pdf' as x", "there is no file reprot.pdf; did you mean report.pdf?", "'reprot.pdf'"),
        ("%upload empty/ as x", "no file to send in empty. Look at the spelling, and at the folder you are in.", ""),
        ("%upload folder/*.cvs as x", "no file matches folder/*.cvs; did you mean folder/a.csv?", "folder/*.cvs"),
        ("%upload pipe as x", "pipe is a pipe, not a file. Copy its content into a file first.", ""),
        ("%upload /dev/zero as x", "/dev/zero is a device, not a file. Copy its content into a file first.", ""),
        (
            "%upload 'ques?tion.txt' as x",
            (
                "the file name ques?tion.txt holds ?, which the Files API refuses. "
                "Give another with --name (name= in Python)."
            ),
            "",
        ),
        (
            "%upload report.pdf as x --name a:b",
            "--name: the file name a:b holds :, which the Files API refuses",
            "a:b",
        ),
        ("%upload report.pdf as x --name d/a.pdf", "--name must be a file name without folders", "d/a.pdf"),
        (
            "%upload big.bin as x",
            "big.bin has 524,288,001 bytes; one file may have 524,288,000 at most. Nothing was sent.",
            "",
        ),
        (
            "%upload report.pdf as x --exprie 7d",
            "there is no option --exprie; did you mean --expires?",
            "--exprie",
        ),
        ("%upload report.pdf as x --expires 100d", "--expires must be from 1h to 90d", "100d"),
        (
            "%upload report.pdf as x --type nonsense",
            "--type: nonsense is not a MIME type. Write it like text/plain or application/pdf.",
            "nonsense",
        ),
        (
            "%upload report.pdf as x --type text/plain",
            (
                "report.pdf is not text, and text/plain would make Claude read it as text. "
                "Leave --type out, or name its real type."
            ),
            "",
        ),
        (
            "%upload df as x --name a.parquet --for document",
            (
                f"{PARQUET}, and a document must be a PDF or plain text. "
                "Convert it, or use --for container (for_='container')."
            ),
            "",
        ),
        (
            "%upload report.pdf as class",
            "class is a Python keyword; choose another name, such as class_id",
            "class",
        ),
        ("%upload report.pdf as list", "list is a Python builtin; choose another name, such as list_id", "list"),
        (
            "%upload report.pdf as get_ipython",
            "get_ipython belongs to IPython; choose another name",
            "get_ipython",
        ),
        (
            "%upload df as df",
            "df holds what is uploaded and would be lost; choose another name, such as df_id",
            "df",
        ),
        (
            "%upload {1, 2} as x",
            "{1, 2} is a set, which has no order that its ids could keep. Make it a list: sorted(x), or list(x).",
            "",
        ),
        ("%upload [] as x", "[] is empty. There is nothing to upload.", ""),
        ("%upload 5 as x", f"5 is an int, which cannot be uploaded. What can: {SOURCES}.", ""),
        (
            "%upload report.pdf as x, nowhere.csv as y",
            "there is no file nowhere.csv, and no name nowhere",
            "nowhere.csv",
        ),
        (
            "%upload report.pdf as x, big.bin as y",
            "big.bin has 524,288,001 bytes; one file may have 524,288,000 at most. Nothing was sent.",
            "",
        ),
        (
            "%upload https://ana:word@example.org/a.csv as x",
            f"https://example.org/a.csv {PASSWORD}",
            "",
        ),
        (
            "%upload report.pdf as x --zip",
            "--zip is for a folder, and a file is none. Leave it out (zip= in Python).",
            "",
        ),
        ("%files info nobody", "nobody is not defined", "nobody"),
        ("%files use elsewhere", "%files use takes one of local and anthropic", "elsewhere"),
    ],
)
def test_one_line_and_nothing_sent(world, line, said, marked):
    """The line says what is wrong, a mark where; no connection is made, no file is left, the old value stays."""
    ran = world.run(line)
    assert "UsageError" == type(ran.error).__name__
    first, *caret = str(ran.error).split("\n")
    assert said == first
    if marked:
        quoted, mark = caret
        assert (f"  {line}", marked) == (quoted, quoted[mark.index("^") : mark.rindex("^") + 1])
    else:
        assert [] == caret
    assert f"UsageError: {ran.error}\n" == ran.printed
    assert "old" == world.names["x"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%upload 'broken' as x", "there is no file broken"),
        ("%upload 'loop' as x", "there is no file loop"),
        (f"%upload report.pdf as x --name {LONG}", f"{SHORT} has 256 characters, and the Files API takes 255"),
        ("%upload (n for n in [df]) as x", "is a generator, which has no order that its ids could keep"),
        ("%upload df as x --opt nonsense=1", "csv has no option nonsense. It has: "),
        ("%upload df as x --format docx", "there is no format docx for a frame. It is one of csv, "),
    ],
)
def test_a_long_line_is_one_line_too(world, line, said):
    """Where an error has to list much, it still is one line, or one with its mark."""
    ran = world.run(line)
    first, *caret = str(ran.error).split("\n")
    assert said in first
    assert len(caret) in {0, 2}
    assert f"UsageError: {ran.error}\n" == ran.printed
    assert "old" == world.names["x"]


def test_what_is_no_error(world, monkeypatch):
    """A name of exactly 255 characters, a folder and a glob are fine: only the server is missing here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{port}")
    ran = world.run("%upload n*.txt as x, folder/ as y, folder/*.csv as z --no-retry")
    assert {nbfiles.ConnectionFailedError} == {type(failure) for failure in ran.error.failures}
    assert ("old", ["failed"] * 3) == (world.names["x"], ran.error.table["status"].tolist())


def test_no_key(world, monkeypatch, tmp_path):
    """Without a key nothing is read or written, and the line says the three ways to go on."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    ran = world.run("%upload df as x")
    ways = "set ANTHROPIC_API_KEY, call nbfiles.login(), or try everything without an account: %files use local"
    expected = f"No API key: {ways}"
    assert (expected, "CredentialError", "old") == (str(ran.error), type(ran.error).__name__, world.names["x"])
    assert expected == ran.printed.strip()


@pytest.mark.parametrize("url", ["http://example.test", "http://10.0.0.1:8000", "ftp://x", "https://a:b@example.test"])
def test_an_address_that_is_refused(world, monkeypatch, url):
    """Plain http off this machine is refused before anything is sent."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    ran = world.run("%upload report.pdf as x")
    assert "the address from ANTHROPIC_BASE_URL" in str(ran.error)
    assert ("UsageError", "old") == (type(ran.error).__name__, world.names["x"])


def test_a_key_that_is_refused(world, monkeypatch):
    """A 401 says where the key came from, in one line, without it; the old value stays."""
    body = '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'
    with Recorder("401 Unauthorized", body) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        ran = world.run("%upload report.pdf as x")
    expected = "127.0.0.1 refused the API key (401). It came from ANTHROPIC_API_KEY. Check it and run the cell again."
    assert (expected, "old") == (str(ran.error), world.names["x"])
    assert isinstance(ran.error, nbfiles.AuthenticationError)
    assert expected == ran.printed.strip()
    assert 1 == len(server.requests)


def test_a_server_that_is_down(world, monkeypatch):
    """A server that is not there is one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{port}")
    ran = world.run("%upload report.pdf as x")
    assert f"127.0.0.1:{port} could not be reached (connection refused)" in str(ran.error)
    assert (1, "old") == (len(ran.printed.strip().splitlines()), world.names["x"])


def test_a_file_that_may_not_be_read(tmp_path):
    """A file whose permissions forbid it is refused. In a child without privileges: root may read everything."""
    tmp_path.chmod(0o755)
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "secret.txt").chmod(0)
    code = (
        "import os, nbfiles, nbfiles._payload, nbfiles._names\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: nbfiles._payload.file_payload('secret.txt')\n"
        "except nbfiles.SourceError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "secret.txt may not be read by you. Change its permissions, or copy it.\n" == done.stdout


def test_one_file_is_asked_for(world):
    """`nbfiles.upload` of a folder, a glob or a list names the verb for many."""
    for source in ("folder", "folder/*.csv", ["report.pdf"]):
        with pytest.raises(nbfiles.InputError, match="upload_many"):
            nbfiles.upload(source)
