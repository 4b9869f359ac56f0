"""The landing route of a real Jupyter server, started as a user's is: who may land bytes, and what becomes of them."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import resource
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nbfiles._errors import SourceError
from nbfiles._landing import Landing

TOKEN = "sesame" + secrets.token_hex(8)
MIB = 1 << 20
LATE = 10.0  # seconds after which a wait counts as a hang
OTHERS = ("nbfiles", "jupyterlab", "notebook", "notebook_shim", "jupyter_lsp", "jupyter_server_terminals")


@dataclass
class Server:
    """A running Jupyter server, the spool folder it shares with this process, and a browser's way to it."""

    process: subprocess.Popen
    port: int
    base_url: str
    log: Path
    landing: Landing
    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method, token, *, body=b"", headers=None, length=None, chunked=False):
        """Send one request as it stands; return its status and body. An early answer may cut the sending short."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LATE)
        headers = {} if headers is None else dict(headers)
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:7], body[7:])) + b"0\r\n\r\n"
        else:
            headers["Content-Length"] = str(len(body) if length is None else length)
        host = headers.pop("Host", f"127.0.0.1:{self.port}")
        connection.putrequest(method, f"{self.base_url}nbfiles/landing/{token}", skip_host=True)
        for name, value in {"Host": host, **headers}.items():
            connection.putheader(name, value)
        try:
            connection.endheaders()
            for start in range(0, len(body), MIB):
                connection.send(body[start : start + MIB])
        except (BrokenPipeError, ConnectionResetError):  # refused before the end
            pass
        try:
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def put(self, token, body=b"", **options):
        """Send `body` with the server's token; return the status."""
        options.setdefault("headers", {"Authorization": f"token {TOKEN}"})
        return self.request("PUT", token, body=body, **options)[0]

    def browser(self):
        """Return the cookies of a browser that has opened the server: ``Cookie`` header and XSRF token."""
        if not self.cookies:
            for path in (f"api/status?token={TOKEN}", ""):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LATE)
                cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
                connection.request("GET", self.base_url + path, headers={"Cookie": cookie})
                answer = connection.getresponse()
                answer.read()
                for header in answer.headers.get_all("Set-Cookie", []):
                    name, value = header.split(";")[0].split("=", 1)
                    self.cookies[name] = value
                connection.close()
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items()), self.cookies["_xsrf"]

    def files(self, ticket):
        """Return the endings of the ticket's files."""
        return sorted(path.suffix for path in self.landing.folder.glob(f"{ticket.token}.*"))

    def half(self, ticket, body):
        """Begin a PUT and return its socket once `body`, the first part of it, has been sent."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=LATE)
        head = f"PUT {self.base_url}nbfiles/landing/{ticket.token} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        head += f"Authorization: token {TOKEN}\r\nContent-Length: {ticket.size}\r\n\r\n"
        line.sendall(head.encode() + body)
        return line


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(home, base_url, *options):
    """Run a Jupyter server that keeps everything in `home`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "NBFILES"))}
    env |= {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    extensions = dict.fromkeys(OTHERS, False) | {"nbfiles.server": True}
    port = free_port()
    command = [
        sys.executable, "-W", "always", "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={home}",
        f"--ServerApp.base_url={base_url}", f"--ServerApp.jpserver_extensions={extensions}",
        f"--IdentityProvider.token={TOKEN}", *options,
    ]  # fmt: skip
    log = home / "log"
    with log.open("w") as written:
        process = subprocess.Popen(command, env=env, stdout=written, stderr=written, cwd=home)
    try:
        wait_for(lambda: answers(port, base_url), lambda: process.poll() is not None and log.read_text())
        with Landing(home / "runtime" / "nbfiles") as landing:
            yield Server(process, port, base_url, log, landing)
    finally:
        process.terminate()
        process.wait(LATE)


@pytest.fixture(scope="module", params=["default", "strict"])
def server(request, tmp_path_factory):
    """A Jupyter server as it comes, then one that refuses whoever is not known, under a base URL as on a hub."""
    home = tmp_path_factory.mktemp(request.param)
    strict = ["--ServerApp.allow_unauthenticated_access=False"] if request.param == "strict" else []
    with running(home, "/user/me.b/" if strict else "/", *strict) as server:
        yield server


def answers(port, base_url):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LATE)
    try:
        connection.request("GET", f"{base_url}api")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def wait_for(condition, broken=lambda: None):
    deadline = time.monotonic() + 3 * LATE
    while not condition():
        assert not broken(), broken()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def states(server):
    """The nine states in which a request may come: its headers, its query, and the status it must get."""
    cookie, xsrf = server.browser()
    token = {"Authorization": f"token {TOKEN}"}
    page = {"Cookie": cookie, "X-XSRFToken": xsrf}
    return {
        "nobody": ({}, "", 403),
        "a forged XSRF pair": ({"Cookie": "_xsrf=forged", "X-XSRFToken": "forged"}, "", 403),
        "a wrong token": ({"Authorization": "token wrong"}, "", 403),
        "the token in a header": (token, "", 200),
        "the token in the query": ({}, f"?token={TOKEN}", 200),
        "a cookie without XSRF": ({"Cookie": cookie}, "", 403),
        "a cookie and XSRF": (page, "", 200),
        "a cookie and XSRF from elsewhere": (page | {"Origin": "http://evil.example"}, "", 404),
        "a foreign host name": (page | {"Host": "evil.example"}, "", 403),
    }


def test_who_may_land(server):
    """In each of the nine states exactly those who may land bytes do; the others land none and use up no ticket."""
    body = os.urandom(2 * MIB)
    for state, (headers, query, wanted) in states(server).items():
        ticket = server.landing.ticket(len(body))
        status = server.put(ticket.token + query, body, headers=headers)
        assert (state, wanted) == (state, status)
        landed = (len(body), [".done", ".part"]) if wanted == 200 else (0, [".ticket"])
        assert (state, *landed) == (state, ticket.landed, server.files(ticket))


def test_landed_bytes_are_the_bytes_sent(server):
    """What was sent is what is read, and the answer says how much it was."""
    body = os.urandom(MIB + 3)
    ticket = server.landing.ticket(len(body))
    status, answer = server.request("PUT", ticket.token, body=body, headers={"Authorization": f"token {TOKEN}"})
    assert (200, {"size": len(body)}) == (status, json.loads(answer))
    with ticket.open() as reader:
        assert hashlib.sha256(body).digest() == hashlib.sha256(reader.read()).digest()
    assert 0o600 == next(server.landing.folder.glob(f"{ticket.token}.part")).stat().st_mode & 0o777


def test_single_use(server):
    """A ticket lands one file: the second attempt finds none, and what has landed stays as it is."""
    ticket = server.landing.ticket(3)
    assert [200, 404] == [server.put(ticket.token, body) for body in (b"one", b"two")]
    with ticket.open() as reader:
        assert b"one" == reader.read()


def test_empty_file(server):
    """A file of no bytes lands too."""
    ticket = server.landing.ticket(0)
    assert 200 == server.put(ticket.token)
    assert [".done", ".part"] == server.files(ticket)


@pytest.mark.parametrize(
    "token",
    ["A" * 43, "", "a", "..%2f" + "a" * 40, "../../api/status", "%2e%2e/%2e%2e/etc/passwd", "%00" * 43, "A" * 43 + "/",
     "A" * 43 + ".ticket", "..%5c" + "a" * 40, "a/" * 20, "A" * 10_000],
)  # fmt: skip
def test_hostile_tokens(server, token):
    """A token that is unknown or none at all is not found, before any byte of the body, and touches no file."""
    before = sorted(server.landing.folder.parent.rglob("*"))
    assert 404 == server.put(token, bytes(MIB))
    assert before == sorted(server.landing.folder.parent.rglob("*"))


def test_expired_ticket(server):
    """A ticket that has expired lets nobody in."""
    ticket = server.landing.ticket(3, lifetime=-1)
    assert 404 == server.put(ticket.token, b"one")
    assert [] == server.files(ticket)


def test_ticket_given_up(server):
    """A browser that finishes after the kernel has given up is told so, and leaves nothing behind."""
    ticket = server.landing.ticket(6)
    line = server.half(ticket, b"one")
    wait_for(lambda: ticket.landed == 3)
    ticket.discard()
    line.sendall(b"two")
    assert b"HTTP/1.1 404" == line.recv(12)
    line.close()
    assert [] == server.files(ticket)


@pytest.mark.parametrize("length", [9, 11, 700 * MIB, "-1", "ten", "10, 10", "1" * 30])
def test_other_size_than_announced(server, length):
    """A body of any other size than the ticket's is refused before its first byte, 700 MiB included."""
    ticket = server.landing.ticket(10)
    assert 400 == server.put(ticket.token, b"0123456789", length=length)
    assert 0 == ticket.landed
    if isinstance(length, int):
        with pytest.raises(SourceError, match="its size is not what was announced"):
            ticket.open()


def test_more_than_the_servers_own_limit(server):
    """A ticket of 700 MiB is accepted, although the server's limit for other bodies is 512 MiB."""
    ticket = server.landing.ticket(700 * MIB)
    line = server.half(ticket, bytes(MIB))
    wait_for(lambda: ticket.landed == MIB)
    line.close()
    wait_for(lambda: ".failed" in server.files(ticket))


@pytest.mark.parametrize(("body", "wanted"), [(b"0123456789", 200), (b"012345678", 400), (b"0123456789+", 400)])
def test_body_in_chunks(server, body, wanted):
    """A proxy may send the body in chunks without a length; what counts is what came."""
    ticket = server.landing.ticket(10)
    assert wanted == server.put(ticket.token, body, chunked=True)
    wait_for(lambda: [".done" if wanted == 200 else ".failed", ".part"] == server.files(ticket))
    assert ticket.landed <= 10


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_only_put(server, method):
    """No other method does anything, not even with the server's token."""
    ticket = server.landing.ticket(3)
    status, _ = server.request(method, ticket.token, body=b"one", headers={"Authorization": f"token {TOKEN}"})
    assert 405 == status
    assert [".ticket"] == server.files(ticket)


def test_disconnect_at_half(server):
    """A browser that goes away in the middle is known to the waiting reader within a second."""
    ticket = server.landing.ticket(4 * MIB)
    line = server.half(ticket, bytes(2 * MIB))
    error = []

    def read():
        try:
            with ticket.open() as reader:
                reader.read()
        except SourceError as caught:
            error.append((time.monotonic(), str(caught)))

    reading = threading.Thread(target=read)
    reading.start()
    wait_for(lambda: ticket.landed == 2 * MIB)
    gone = time.monotonic()
    line.close()
    reading.join(LATE)
    noticed, message = error[0]
    assert noticed - gone < 1
    assert "(2,097,152 of 4,194,304 bytes): the browser broke off" in message
    assert [".failed", ".part"] == server.files(ticket)


def test_read_while_it_grows(server):
    """20 MB are read while they land: the reader has bytes before the browser has sent its second half."""
    body = os.urandom(20_000_000)
    ticket = server.landing.ticket(len(body))
    digest, seen = hashlib.sha256(), threading.Event()

    def read():
        with ticket.open() as reader:
            while piece := reader.read(MIB):
                digest.update(piece)
                seen.set()

    reading = threading.Thread(target=read)
    reading.start()
    line = server.half(ticket, body[:10_000_000])
    assert seen.wait(LATE)
    assert not ticket.done
    line.sendall(body[10_000_000:])
    assert b"HTTP/1.1 200" == line.recv(12)
    line.close()
    reading.join(LATE)
    assert hashlib.sha256(body).hexdigest() == digest.hexdigest()


def test_disk_full_before_the_first_byte(server):
    """A file for which the server's disk has no room is refused with 507, and its reader is told."""
    ticket = server.landing.ticket(1)
    path = next(server.landing.folder.glob(f"{ticket.token}.ticket"))
    path.write_text(json.dumps({"size": 1 << 60, "expires": ticket.expires}))
    assert 507 == server.put(ticket.token, b"0123456789", length=1 << 60)
    with pytest.raises(SourceError, match="the disk is full"):
        ticket.open()


def test_disk_full_in_the_middle(server):
    """A disk that fills up while bytes land ends the landing with 507, and its reader is told."""
    ticket = server.landing.ticket(3 * MIB)
    _, hard = limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (2 * MIB, hard))  # what the server may write of a file
    try:
        assert 507 == server.put(ticket.token, bytes(3 * MIB))
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
    assert 2 * MIB == ticket.landed
    with pytest.raises(SourceError, match="the disk is full"):
        ticket.open()


def test_an_end_that_cannot_be_marked(server):
    """Where the disk does not take the note that all is there, the browser is told so, and no reader believes it."""
    ticket = server.landing.ticket(10)
    (server.landing.folder / f"{ticket.token}.done").symlink_to("nowhere")
    assert 507 == server.put(ticket.token, b"0123456789")
    assert (10, False) == (ticket.landed, ticket.done)
    with ticket.open(idle=0.05) as reader, pytest.raises(SourceError, match="nothing came"):
        reader.readall()


READER = """
from jupyter_server.auth.authorizer import Authorizer

class MayOnlyRead(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return (action, resource) != ("write", "nbfiles")
"""


def test_who_may_only_read_may_not_land(tmp_path):
    """Where an administrator lets somebody in without the right to write, no byte of theirs lands."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text(
        f"{READER}\nc.ServerApp.authorizer_class = MayOnlyRead\n"
    )
    with running(tmp_path, "/") as server:
        ticket = server.landing.ticket(MIB)
        assert 403 == server.put(ticket.token, bytes(MIB))
        assert (0, [".ticket"]) == (ticket.landed, server.files(ticket))


def test_log_after_all_this(server):
    """The log has no traceback, no 500 and no warning about an open door, and never the server's token."""
    log = server.log.read_text()
    assert [] == re.findall(r"Traceback.*|Uncaught.*|.*JupyterServerAuthWarning.*|.* 500 \w+ /.*|.*Landing.*", log)
    assert TOKEN not in log


def test_light_import():
    """Importing the extension loads nothing heavy into a Jupyter server's process."""
    code = "import sys, nbfiles.server; print('tornado' in sys.modules, end=' '); import nbfiles.server._handlers\n"
    code += "print(sorted({'pandas', 'pyarrow', 'httpx', 'IPython', 'ipywidgets', 'anywidget'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False []" == ran.stdout.strip()


def test_switched_on_by_installing():
    """The configuration that the wheel installs names the package, and nothing else."""
    path = Path(__file__).parents[2] / "jupyter-config" / "jupyter_server_config.d" / "nbfiles.json"
    assert {"ServerApp": {"jpserver_extensions": {"nbfiles": True}}} == json.loads(path.read_text())
