"""Forms nobody means well with (row L7): broken by chance, or made to cost much."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from .local_server import client_of, connect, ids_of, peak, request, serving, swept, upload
from .trials import row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .trials import Trial

FILE = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain'
EXPIRES = 'Content-Disposition: form-data; name="expires_in_seconds"'


def body(*parts: tuple[str | bytes, bytes], preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    """Join parts, each headers and value, with the boundary B."""
    joined = b"".join(
        b"--B\r\n" + (head if isinstance(head, bytes) else head.encode()) + b"\r\n\r\n" + value + b"\r\n"
        for head, value in parts
    )
    return preamble + joined + b"--B--\r\n" + epilogue


# Large where forms are small.
BOMBS = {
    "parts": body(*[(EXPIRES, b"")] * 30_000),
    "headers": body((FILE + "\r\nX-A: b" * 200_000, b"x")),
    "different headers": body((FILE + "".join(f"\r\nX-{n}: b" for n in range(1000)), b"x")),
    "a long header": body((FILE + "\r\nX-A: " + "b" * 2_000_000, b"x")),
    "a long header name": body((FILE + "\r\nX" + "b" * 1_000_000 + ": c", b"x")),
    "long headers": body((FILE + "".join(f"\r\nX-{n}: {'b' * 4000}" for n in range(5)), b"x")),
    "preamble": body((FILE, b"x"), preamble=b"\r\n" * 1_000_000),
    "preamble of dashes": body((FILE, b"x"), preamble=b"\r\n-" * 700_000),
    "nothing but dashes": b"-" * 2_000_000,
    "epilogue": body((FILE, b"x"), epilogue=b"\r\n" * 1_000_000),
    "a long field": body((EXPIRES, b"3" * 2_000_000), (FILE, b"x")),
}


@dataclass
class Sent:
    """A request: further lines of its head, its body, and whether the server has all that it was promised."""

    headers: list[str]
    body: bytes
    whole: bool = True

    def __repr__(self) -> str:
        return f"Sent({[header[:60] for header in self.headers]}, {self.body!r}, whole={self.whole})"


# -- by chance -------------------------------------------------------------------------------------------------------

_PIECES = st.one_of(
    st.sampled_from([
        b"--B\r\n", b"--B--", b"--B--\r\n", b"\r\n", b"\r\n\r\n", b"\r\n--B", b"--", b"B", b"\n", b"\r", b";", b'"',
        b"\\", b"\x00", FILE.encode(), EXPIRES.encode(), b"Content-Disposition: form-data", b"; filename*=UTF-8''%41",
        b'; name="file"', b'; filename="', b"Content-Type: text/plain", b"Content-Transfer-Encoding: base64", b"3600",
        b"--B\r\n" + FILE.encode() + b"\r\n\r\n", b"x" * 9000]),
    st.binary(max_size=40),
)  # fmt: skip
_SOUND = body((EXPIRES, b"3600"), (FILE, b"hello"))


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    """Draw a body: pieces in any order, or a sound form with a part of it replaced by some."""
    pieces = b"".join(draw(st.lists(_PIECES, max_size=12)))
    if draw(st.booleans()):
        return pieces
    start = draw(st.integers(0, len(_SOUND)))
    return _SOUND[:start] + pieces[:200] + _SOUND[draw(st.integers(start, len(_SOUND))) :]


@st.composite
def _requests(draw: st.DrawFn) -> Sent:
    """Draw a request: any body, under a head that says its length in one of many ways, or falsely."""
    data = draw(_bodies())
    size = len(data)
    headers = draw(st.lists(st.sampled_from([
        "Content-Type: multipart/form-data; boundary=B", 'Content-Type: multipart/form-data; boundary="B"',
        "Content-Type: multipart/form-data; boundary=" + "B" * 71, "Content-Type: multipart/form-data", "Content-Type:",
        "Content-Type: text/plain", "Content-Type: multipart/form-data;" + ";" * 50_000, "Expect: 100-continue",
        "anthropic-beta: files-api-2025-04-14", "anthropic-beta: " + "," * 5000, "X-A: " + "b" * 70_000,
        "Accept-Encoding: gzip", "Content-Encoding: gzip", *["X-A: b\r\n" * 500 + "X-B: c"], "Transfer-Encoding: gzip",
        "X-\x00: a", "no colon", " folded"]), max_size=3))  # fmt: skip
    kind = draw(st.sampled_from(["length", "length", "length", "chunked", "too long", "too short", "twice", "odd"]))
    if kind == "chunked":
        broken = draw(st.sampled_from([b"", b"", b"zz\r\n", b"-1\r\n", b"f" * 30 + b"\r\n"]))
        cut = draw(st.integers(0, size))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:cut], data[cut:]) if part)
        return Sent([*headers, "Transfer-Encoding: chunked"], chunks + broken + b"0\r\n\r\n")
    said = {
        "length": [str(size)],
        "too long": [str(size + draw(st.integers(1, 1 << 40)))],
        "too short": [str(draw(st.integers(0, size)))],
        "twice": [str(size), str(size + 1)],
        "odd": [draw(st.sampled_from(["-1", "x", "", "1e3", "0x10", "9" * 5000, "+1", "١"]))],
    }[kind]
    return Sent([*headers, *(f"Content-Length: {value}" for value in said)], data, whole=kind != "too long")


@contextlib.contextmanager
def _warm() -> Iterator[tuple[Any, int]]:
    """Yield a server that has taken one file, and the memory that it had for that at most."""
    with serving() as api:
        with client_of(api) as client:
            upload(client, bytes(3_000_000))
        yield api, peak(api)
        assert "" == api.stop(), "the log was written to"


@row("L7", full=50, ci=5, around=_warm)
def hostile_forms(trial: Trial) -> str:
    """A hundred odd requests and a bomb: each is stored or refused within a second, and costs nothing that stays."""
    api, before = trial.shared
    statuses: set[int | None] = set()
    with client_of(api) as client:
        there = len(ids_of(client.get("/v1/files?limit=1000")))
        bomb = trial.case([*BOMBS.values()])
        assert 400 == _answer(api, Sent([f"Content-Length: {len(bomb)}"], bomb))
        stored = 0

        @seed(trial.seed)
        @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(_requests())
        def odd_request(sent: Sent) -> None:
            nonlocal stored
            status = _answer(api, sent)
            statuses.add(status)
            stored += status == 200
            assert status is None or status < 500

        odd_request()
        now = ids_of(client.get("/v1/files?limit=1000"))
        assert there + stored == len(now)
        for file_id in now:
            client.delete(f"/v1/files/{file_id}")
    swept(api.dir)
    assert peak(api) - before < 20 * 1024, "the server has grown"
    assert {200, 400} <= statuses
    return "stored or refused"


def _answer(api: Any, sent: Sent) -> int | None:
    """Send a request; return the status of the answer, or None where the connection ended without one."""
    # A machine that was busy is given a second chance; what hangs hangs again.
    status, seconds = _exchange(api, sent)
    if seconds > 1:
        status, seconds = _exchange(api, sent)
    assert seconds <= 1, f"no end after {seconds:.1f} s"
    return status


def _exchange(api: Any, sent: Sent) -> tuple[int | None, float]:
    with connect(api) as raw:
        began = time.monotonic()
        with contextlib.suppress(OSError):  # refused while it was being sent
            raw.sendall(request(api, *sent.headers) + sent.body)
            if not sent.whole:
                raw.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(raw)
        try:
            answer.begin()
            said = answer.read()
        except ConnectionError:
            return None, time.monotonic() - began
        seconds = time.monotonic() - began
    if answer.getheader("content-type") == "application/json":
        assert {200: "file"}.get(answer.status, "error") == json.loads(said)["type"]
    else:  # h11 found that this is no HTTP
        assert (400, b"Invalid HTTP request received.") == (answer.status, said)
    return answer.status, seconds
