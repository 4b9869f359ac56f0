"""The key, in a kernel where everything fails and everybody looks: it is in nothing that is shown, saved or written."""

from __future__ import annotations

import base64
import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import nbclient
import nbformat
import pytest
import trustme
from doubles import (
    Proxy,
    Server,
    answers,
    breaks_off,
    deaf,
    drips,
    metadata,
    says,
    silent,
    silent_after_the_head,
    stored,
)
from nbconvert import HTMLExporter
from workbench import CANARY, bundle, tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from doubles import Exchange

DECOY = "sk-ant-api03-DECOY-0ddba11cafef00d"
GATEWAY = "gw/CANARY+5f1c0de5=ca1ab1e%20d"  # what a company's own gateway may take: none of Anthropic's forms
UPLOAD, CALL, LIST = "%upload report.pdf as x", 'nbfiles.upload("report.pdf")', "nbfiles.list_files()"
BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}, "request_id": "req_1"}
PAGE = b"<html><body>Please log in</body></html>"
IN_TIME = 'nbfiles.upload("report.pdf", timeout=0.3)'
NOWHERE = "http://127.0.0.1:1"


class Failure(NamedTuple):
    """A cell that fails: its code, the server that makes it fail, and what else stands in the environment."""

    code: str
    start: Callable[[], Server | Proxy] | None = None
    environment: dict[str, str] = {}  # noqa: RUF012  # nobody writes to it


def at(*scripts: Callable[[Exchange], None], code: str = CALL) -> Failure:
    """Return the failure that a server of `scripts` makes."""
    return Failure(code, lambda: Server(*scripts))


def reads_late(exchange: Exchange) -> None:
    """Take the request when the file has had time to change."""
    time.sleep(0.4)
    exchange.read()
    exchange.answer(200, metadata())


def old(*names: str):
    """Return a server's context whose certificate has expired."""
    return tls(*names, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2020, 2, 1, tzinfo=UTC))


def repeats_the_key(exchange: Exchange) -> None:
    """Answer as careless servers do: with the key, in the explanation and in headers, which httpcore logs."""
    exchange.read()
    said = exchange.header("x-api-key") or exchange.header("authorization")
    error = {"type": "invalid_request_error", "message": f"not a good key: {said}", "details": {"error_code": said}}
    exchange.answer(400, {"type": "error", "error": error}, {"request-id": said, "x-debug": f"was {said}"})


def _no_local_api(name: str, value: str, before: str = "") -> Failure:
    """Return the failure of a local Files API that does not start because `name` is `value`."""
    return Failure(f"{before}\nwith patch({name!r}, {value}): nbfiles.Files(local=True).list_files()")


FILE = answers(200, metadata("file_1", filename="made.csv", size_bytes=3, downloadable=True))
FAILURES = {
    "no such host": Failure(CALL, environment={"ANTHROPIC_BASE_URL": "https://files.invalid"}),
    "connection refused": Failure(CALL, environment={"ANTHROPIC_BASE_URL": NOWHERE}),
    "another authority": Failure(CALL, lambda: Server(tls=tls(by=trustme.CA()))),
    "expired": Failure(UPLOAD, lambda: Server(tls=old())),
    "wrong host": Failure(CALL, lambda: Server(tls=tls("other.test"))),
    "no TLS at all": Failure(IN_TIME, lambda: Server(silent), {"SCHEME": "https"}),
    "no certificates": Failure(CALL, environment={"SSL_CERT_FILE": "report.pdf"}),
    **{f"redirect {status}": at(answers(status, location="https://evil.test/?a=b")) for status in (301, 302, 303, 307)},
    "redirect 308": at(answers(308, location="http://[::1"), code=UPLOAD),
    **{f"{status} JSON": at(answers(status, BUSY, retry_after="0")) for status in (400, 401, 403, 404, 409, 429, 529)},
    **{f"{status} HTML": at(answers(status, PAGE), code=UPLOAD) for status in (402, 413, 418, 500, 503)},
    "the key repeated": at(repeats_the_key),
    "200 HTML": at(answers(200, PAGE)),
    "200 {}": at(answers(200, {}), code=UPLOAD),
    "200 nothing": at(answers(200, b"")),
    "200 another size": at(answers(200, metadata(size_bytes=1))),
    "200 truncated": at(says(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")),
    "200 no gzip": at(says(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd")),
    "nonsense": at(says(b"nonsense\r\n\r\n")),
    "1 MiB of header": at(says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * (1 << 20) + b"\r\n\r\n"), code=UPLOAD),
    "broken off": at(breaks_off()),
    "broken off early": at(breaks_off(0, reset=False)),
    "silence": at(silent, code=f"{UPLOAD} --timeout 1s"),
    "half an answer": at(silent_after_the_head, code=IN_TIME),
    "drips": at(drips, code='await nbfiles.upload_async("report.pdf", timeout=0.3)'),
    "deaf": at(deaf, code='nbfiles.upload("big.bin", timeout=0.3)'),
    "cancelled": at(silent, code=f"threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n{CALL}"),
    "source changed": at(reads_late, code='threading.Timer(0.1, os.truncate, ("big.bin", 5)).start()\n'
                                          'nbfiles.upload("big.bin", retry=False)'),
    "too large": Failure('nbfiles.Files(config=nbfiles.NbFiles(max_file_size=1)).upload("report.pdf")'),
    "bad name": Failure('nbfiles.upload("report.pdf", name="a:b")'),
    "bad option": Failure('nbfiles.upload("report.pdf", nmae="a.pdf")'),
    "bad line": Failure("%upload report.pdf as x --exprie 7d"),
    "no such file": Failure("%upload reprot.pdf as x"),
    "bad expiry": Failure('nbfiles.upload("report.pdf", expires=5)'),
    "bad beta": Failure('nbfiles.Files(betas=["a b"])'),
    "plain http": Failure(UPLOAD, environment={"ANTHROPIC_BASE_URL": "http://example.test"}),
    "a password in the address": Failure(CALL, environment={"ANTHROPIC_BASE_URL": "https://a:b@example.test"}),
    "a proxy that refuses": Failure(CALL, Proxy, {"ANTHROPIC_BASE_URL": "https://files.test"}),
    "a proxy that is none": Failure(CALL, environment={"HTTPS_PROXY": "nonsense://[", "ANTHROPIC_BASE_URL": "https://x.test"}),
    "a key and a token": Failure("nbfiles.Files(api_key=witness.typed(), auth_token=witness.typed()).list_files()"),
    "a key of two words": Failure("nbfiles.Files(api_key=witness.typed() + ' x').list_files()"),
    "an argument that is refused": at(answers(401, BUSY), code="nbfiles.Files(api_key=witness.typed()).list_files()"),
    "a list without end": at(answers(200, {"data": [], "next_page": "same"}), code=LIST),
    "a list that is none": at(answers(200, {"data": 5}), code="%files list"),
    "deleting what is not there": at(answers(404, BUSY), code='nbfiles.delete_file("file_1")'),
    "a download of another size": at(FILE, answers(200, b"12"), code='nbfiles.download_file("file_1")'),
    "a download to nowhere": at(FILE, answers(200, b"123"), code='nbfiles.download_file("file_1", "no/such/a.csv")'),
    "some of several": at(answers(400, BUSY), stored, code='nbfiles.upload_many([b"%PDF-", b"%PDF-1"])'),
    "a local API that is no program": _no_local_api("sys.executable", "'report.pdf'"),
    "a local API that talks nonsense": _no_local_api("sys.executable", "'/bin/echo'"),
    "a local API that is interrupted": _no_local_api(
        "sys.executable", "'./sleeps'", "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()"),
    "an interrupt while it is made": _no_local_api("subprocess.Popen._execute_child", "side_effect=KeyboardInterrupt"),
    "a ledger that is none": at(breaks_off())._replace(environment={"NBFILES_LEDGER": "report.pdf"}),
}  # fmt: skip
# How the key is given: the key, the environment, the first cell, and which of the failures are swept.
PART = slice(None) if os.environ.get("NBFILES_TRIALS") == "full" else slice(None, None, 3)
WAYS = {
    "ANTHROPIC_API_KEY": (CANARY, {"ANTHROPIC_API_KEY": CANARY}, "pass", slice(None)),
    "ANTHROPIC_AUTH_TOKEN": (GATEWAY, {"ANTHROPIC_AUTH_TOKEN": GATEWAY}, "pass", PART),
    "login": (CANARY, {}, "witness.login()", PART),
}
BEFORE = """
%load_ext nbfiles
%load_ext witness
import os, signal, threading, nbfiles, witness
from unittest.mock import patch
%xmode Verbose
"""
AFTER = (
    "%config NbFiles",
    "nbfiles.last",
    "vars(nbfiles.Files())",
    "nbfiles.UploadWidget()",
    "get_ipython().configurables",
)
LEAK = f"""
def leak(key):
    print(key)
    logging.getLogger("leak").debug(key)
    raise RuntimeError(key)

import logging
kept = nbfiles.Files(workspace_id="{DECOY}")
leak("{DECOY}")
"""
SINKS = ("notebook", "page", "history", "failures", "log", "objects", "process", "disk")


def forms(key: str) -> list[bytes]:
    """Return what would give `key` away: itself, in base64 wherever it begins, in a URL, its end."""
    middles = (base64.b64encode(b" " * at + key.encode())[4 if at else 0 : -4] for at in range(3))
    return [key.encode(), quote(key, safe="").encode(), key[-12:].encode(), *middles]


def hits(key: str, text: bytes) -> list[bytes]:
    """Return where a form of `key` stands in `text`, each with what stands before it."""
    return [text[max(0, at - 200) : at + len(form)] for form in forms(key) if (at := text.find(form)) >= 0]


class Sinks(NamedTuple):
    """What was left when the kernel had ended: the key, the bytes of each sink, what did not fail, what servers got."""

    key: str
    found: dict[str, bytes]
    passed: set[str]
    sent: bytes


@pytest.fixture(scope="module", params=WAYS)
def sinks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sinks:
    """Run every failure in one kernel, for one way of giving the key, and collect what is left."""
    folder = tmp_path_factory.mktemp("canary")
    key, environment, first, part = WAYS[request.param]
    servers: list[Server] = []
    with ExitStack() as stack:
        codes = {name: _cell(FAILURES[name], stack, servers) for name in list(FAILURES)[part]}
        cells = [BEFORE, first, *codes.values(), *AFTER, LEAK, "witness.inventory()"]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
        _run(notebook, folder, {**environment, "TYPED": key, "A_KEY_OF_ANY_NAME": key})
    nbformat.write(notebook, folder / "saved.ipynb")
    page, _ = HTMLExporter().from_notebook_node(notebook)
    seen = folder / "work" / "seen"
    found = {
        "notebook": (folder / "saved.ipynb").read_bytes(),
        "page": page.encode(),
        "history": b"".join(path.read_bytes() for path in folder.glob("history.sqlite*")),
        "failures": b"".join(path.read_bytes() for path in seen.glob("failure-*")),
        "log": (seen / "log").read_bytes(),
        "objects": (seen / "objects").read_bytes(),
        "process": (folder / "process").read_bytes(),
        "disk": b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()),
    }
    passed = {name for number, name in enumerate(codes, 3) if not (seen / f"failure-{number:03}").exists()}
    return Sinks(key, found, passed, b"".join(exchange.head for server in servers for exchange in server.exchanges))


def _cell(failure: Failure, stack: ExitStack, servers: list[Server]) -> str:
    """Start what `failure` needs, and add it to `servers`; return its cell."""
    environment = {
        "ANTHROPIC_BASE_URL": NOWHERE,
        "HTTPS_PROXY": "",
        "NBFILES_LEDGER": "ledger.sqlite",
        "SSL_CERT_FILE": "authority.pem",
    }
    if failure.start is not None:
        server = stack.enter_context(failure.start())
        if isinstance(server, Proxy):
            environment["HTTPS_PROXY"] = server.url
        else:
            environment["ANTHROPIC_BASE_URL"] = server.url
            servers.append(server)
    environment |= failure.environment
    if environment.pop("SCHEME", ""):
        environment["ANTHROPIC_BASE_URL"] = environment["ANTHROPIC_BASE_URL"].replace("http:", "https:")
    return f"os.environ.update({environment})\n{failure.code}"


def _run(notebook: nbformat.NotebookNode, folder: Path, environment: dict[str, str]) -> None:
    """Run `notebook` in a kernel that has nothing but `folder` to write to."""
    work = folder / "work"
    work.mkdir()
    bundle(work)
    (work / "report.pdf").write_bytes(b"%PDF-")
    (work / "sleeps").write_text("#!/bin/sh\nexec sleep 60\n")
    (work / "sleeps").chmod(0o700)
    with (work / "big.bin").open("wb") as big:
        big.truncate(64 << 20)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "NBFILES_", "XDG_"))
    }
    tests = Path(__file__).parent
    path = os.pathsep.join([os.fspath(tests), os.fspath(tests.parent), kept.get("PYTHONPATH", "")])
    own = dict.fromkeys(
        ("HOME", "TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"), os.fspath(folder)
    )
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", timeout=120, allow_errors=True, resources={"metadata": {"path": work}}
    )
    client.ipython_hist_file = os.fspath(folder / "history.sqlite")
    with (folder / "process").open("wb") as process:
        client.execute(
            env={**kept, **own, "PYTHONPATH": path, "NO_COLOR": "1", **environment}, stdout=process, stderr=process
        )


@pytest.mark.parametrize("sink", SINKS)
def test_no_sink_holds_the_key(sinks, sink):
    """Whatever fails, the key is in no output, traceback, pickle, log, saved notebook, history, object or file."""
    assert [] == hits(sinks.key, sinks.found[sink])


def test_every_failure_failed(sinks):
    """Each cell of the sweep raised something, and the key was in use: servers were sent it."""
    assert set() == sinks.passed
    assert sinks.sent.count(sinks.key.encode()) > 5
    assert len(FAILURES) >= 40


@pytest.mark.parametrize("sink", [sink for sink in SINKS if sink != "process"])
def test_the_sinks_would_show_it(sinks, sink):
    """The sweep has teeth: another key, that a cell gives away on purpose, is in every sink."""
    assert DECOY.encode() in sinks.found[sink]


def test_every_way_of_showing_an_error_would_show_it(sinks):
    """The text, the representation, Python's and IPython's four tracebacks and the pickle of an error are looked at."""
    assert sinks.found["failures"].count(DECOY.encode()) >= 8
