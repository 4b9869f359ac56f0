"""Bad input: each kind has its one line, nothing is sent, nothing is written, and the old binding is kept."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from recorder import Recorder
from shells import fresh_shell

import nbfiles

MISSING = "UsageError: "


@pytest.fixture
def world(monkeypatch, tmp_path):
    """A shell in a folder with odd things in it, and a server that counts whoever connects."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "NBFILES_"))]:
        monkeypatch.delenv(name)
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
        shell.names["df"] = __import__("pandas").DataFrame({"a": [1]})
        yield shell
        assert 0 == server.connections
    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%upload reprot.pdf as x", "there is no file reprot.pdf, and no name reprot; did you mean report.pdf?"),
        ("%upload 'reprot.pdf' as x", "there is no file reprot.pdf; did you mean report.pdf?"),
        ("%upload empty/ as x", "empty"),
        ("%upload folder/*.cvs as x", "no file matches folder/*.cvs; did you mean folder/a.csv?"),
        ("%upload pipe as x", "pipe is a pipe, not a file. Copy its content into a file first."),
        ("%upload /dev/zero as x", "/dev/zero is a device, not a file. Copy its content into a file first."),
        ("%upload 'broken' as x", "there is no file broken"),
        ("%upload 'ques?tion.txt' as x", "holds ?, which the Files API refuses"),
        ("%upload report.pdf as x --name " + "n" * 256, "256 characters, and the Files API takes 255"),
        ("%upload report.pdf as x --name a:b", "holds :"),
        ("%upload big.bin as x", "big.bin has 524,288,001 bytes; one file may have 524,288,000 at most"),
        ("%upload report.pdf as x --exprie 7d", "there is no option --exprie; did you mean --expires?"),
        ("%upload report.pdf as x --expires 100d", "--expires must be from 1h to 90d"),
        ("%upload report.pdf as x --type nonsense", "nonsense is not a MIME type"),
        ("%upload report.pdf as x --type text/plain", "report.pdf is not text"),
        ("%upload df as x --name a.parquet --for document", "a document must be a PDF or plain text"),
        ("%upload report.pdf as class", "class is a Python keyword"),
        ("%upload report.pdf as list", "list is a Python builtin"),
        ("%upload report.pdf as get_ipython", "get_ipython belongs to IPython"),
        ("%upload df as df", "df holds what is uploaded and would be lost"),
        ("%upload {1, 2} as x", "set"),
        ("%upload (n for n in [df]) as x", "generator"),
        ("%upload [] as x", "empty"),
        ("%upload 5 as x", "int"),
        ("%upload df as x --opt nonsense=1", "nonsense"),
        ("%upload df as x --format docx", "docx"),
        ("%upload report.pdf as x, nowhere.csv as y", "there is no file nowhere.csv"),
        ("%upload report.pdf as x, big.bin as y", "big.bin has 524,288,001 bytes"),
        ("%upload s3://bucket/a.csv as x", "URLs are not there yet"),
        ("%upload folder/ as x --zip", "--zip is not there yet"),
        ("%files prune --older 7d", "%files prune is not there yet"),
        ("%files info nobody", "nobody"),
        ("%files use elsewhere", "%files use takes one of local and anthropic"),
    ],
)
def test_one_line_and_nothing_sent(world, line, said):
    """The line says what is wrong; no connection is made, no file is left, the old value stays."""
    ran = world.run(line)
    assert "UsageError" == type(ran.error).__name__
    first, *caret = str(ran.error).split("\n")
    assert said in first
    assert len(caret) in {0, 2}, ran.printed
    assert not caret or "^" in caret[1]
    assert ran.printed.startswith(MISSING)
    assert "Traceback" not in ran.printed
    assert "old" == world.names["x"]


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


def test_a_file_that_may_not_be_read(world):
    """A file whose permissions forbid it is refused. In a child without privileges: root may read everything."""
    secret = os.path.abspath("secret.txt")  # noqa: PTH100  # the child must find it from anywhere
    with open(secret, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write("x")
    os.chmod(secret, 0)  # noqa: PTH101
    code = (
        "import os, sys, nbfiles, nbfiles._payload, nbfiles._names\n"
        "folder = os.path.dirname(sys.argv[1])\n"
        "handle = os.open(folder, os.O_RDONLY)\n"
        "os.fchdir(handle)\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: nbfiles._payload.file_payload('secret.txt')\n"
        "except nbfiles.Error as error: print(error)\n"
    )
    parent = os.path.dirname(secret)  # noqa: PTH120
    said = subprocess.run([sys.executable, "-c", code, secret], capture_output=True, text=True, cwd=parent, check=True)
    assert "secret.txt may not be read by you. Change its permissions, or copy it.\n" == said.stdout


def test_one_file_is_asked_for(world):
    """`nbfiles.upload` of a folder, a glob or a list names the verb for many."""
    for source in ("folder", "folder/*.csv", ["report.pdf"]):
        with pytest.raises(nbfiles.InputError, match="upload_many"):
            nbfiles.upload(source)
