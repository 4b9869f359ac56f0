"""N1 to N14, and ``leaks``: what happens between here and the server while a file is sent."""

from __future__ import annotations

import itertools
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from workbench import bundle, tls

import nbfiles
from nbfiles import _errors
from nbfiles._errors import (
    CertificateError,
    ConnectionFailedError,
    DeadlineError,
    RequestTooLargeError,
    ResponseError,
    UnknownOutcomeError,
)
from nbfiles._tasks import Patience

from .calls import SCALED, Call, World, doors, nothing_left, world
from .server import FaultServer, Step
from .stopped import StoppedServer
from .trials import row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .trials import Trial

HTML = b"<html><script>alert(1)</script><b>sorry</b></html>"
PAGES = ({"type": "error", "error": {"type": "some_error", "message": "it is so <b>\x1b[2J"}}, HTML)


def lost(trial: Trial, when: str | int, **fields: Any) -> Step:
    """Return the step that breaks off, properly or not."""
    return Step(when, trial.random.choice(("rst", "fin")), **fields)


def found(here: World, call: Call) -> str:
    """See that the file was sent once and its id found again, by a look at the list."""
    assert call.bound is not None, repr(call.error)
    assert 1 == here.server.uploads
    assert here.server.looks, "nobody looked"
    return "found"


def resent(here: World, call: Call, posts: int = 2) -> str:
    """See that the file was sent again, and bound."""
    assert call.bound is not None, repr(call.error)
    assert posts == here.server.uploads
    return "resent"


def refused(here: World, call: Call, kind: type[Exception], posts: int = 1) -> str:
    """See that the call failed so, and that nothing is stored."""
    assert isinstance(call.error, kind), repr(call.error)
    assert (posts, []) == (here.server.uploads, here.server.stored)
    return kind.__name__


# -- the answer is lost ------------------------------------------------------------------------------------------------


@row("N1", full=1000, ci=100, around=doors)
def lost_after_store(trial: Trial, patience: Patience = SCALED) -> str:
    """A file whose answer is lost after it was stored is found, and not sent again."""
    with world(trial, lost(trial, "after_store"), **_lists(trial)) as here:
        return found(here, here.upload(patience=patience, retry=trial.random.random() < 0.8))


@row("N2", full=1000, ci=100, around=doors)
def lost_before_store(trial: Trial, patience: Patience = SCALED) -> str:
    """A file that did not arrive is looked for, then sent again; it is stored once, or the error says what happened."""
    size = trial.random.choice((1, 5_000, 300_000, 3_000_000))
    losses = trial.random.choice((1, 1, 1, 2, 3))
    steps = [lost(trial, trial.random.choice((trial.random.randrange(size), "after_body"))) for _ in range(losses)]
    with world(trial, *steps, **_lists(trial)) as here:
        call = here.upload(size=size, patience=patience)
        return resent(here, call, losses + 1) if losses < 3 else refused(here, call, ConnectionFailedError, 3)


LATE = ("within the looks",) * 6 + ("after the resend",) * 3 + ("never",)


@row("N3", full=300, ci=30, around=doors)
def listed_late(trial: Trial, patience: Patience = SCALED, longest: float = 0.05) -> str:
    """A stored file that the list shows late is found while the looks last; one that shows up later is named."""
    when = trial.case(LATE)
    delay = trial.random.uniform(0, longest) if when == "within the looks" else float("inf")
    with world(trial, lost(trial, "after_store", delay=delay)) as here:

        def shows_up(said: Any) -> Any:
            """Let the list show the file when the second one is stored, just before that is answered."""
            here.server.stored[0].visible_at = 0.0
            return said

        if when == "within the looks":
            call = here.upload(patience=patience)
            assert 1 == len(here.server.stored)
            return found(here, call)
        if when == "after the resend":
            here.server.steps["upload"].append(Step(body=shows_up))
        # Nobody can tell that it is there, so that it is sent again. The engine's result has the ids of doubles.
        call = here.upload(patience=patience, door="engine", most=2)
        resent(here, call)
        assert call.task is not None
        first, second = (file.id for file in here.server.stored)
        assert second == call.bound
        assert ((first,) if when == "after the resend" else ()) == call.task.doubles
    return "stored twice, and said so" if call.task.doubles else "stored twice, never listed"


@row("N1 real", full=20, ci=0, around=doors)
def lost_after_store_unscaled(trial: Trial) -> str:
    """The same with a person's waits."""
    return lost_after_store(trial, Patience())


@row("N2 real", full=20, ci=0, around=doors)
def lost_before_store_unscaled(trial: Trial) -> str:
    """The same with a person's waits."""
    return lost_before_store(trial, Patience())


@row("N3 real", full=20, ci=0, around=doors)
def listed_late_unscaled(trial: Trial) -> str:
    """The same with a person's waits: five seconds late."""
    return listed_late(trial, Patience(), 5.0)


@row("N4", full=300, ci=30, around=doors)
def not_an_old_one(trial: Trial) -> str:
    """Files of the same name and size that were there before are never taken for the one that was sent."""
    stores = trial.random.random() < 0.5
    with world(trial, lost(trial, "after_store" if stores else "after_body"), **_lists(trial)) as here:
        chance = trial.random
        for _ in range(chance.randrange(2, 5)):
            here.server.seed("same.bin", chance.randbytes(100), age=chance.choice((7, 10, 60, 3600, 90_000)))
        call = here.upload(name="same.bin", size=100)
        assert call.bound is not None, repr(call.error)
        return found(here, call) if stores else resent(here, call)


@contextmanager
def _peers() -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that upload, with one ledger."""
    tests = Path(__file__).parents[1]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "faults.peer"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ
                    | {
                        "NBFILES_LEDGER": f"{folder}/ledger.sqlite",
                        "PYTHONPATH": os.pathsep.join([str(tests), str(Path(nbfiles.__file__).parents[1])]),
                    },
                )
            )
            for _ in range(2)
        ]


@row("N5", full=300, ci=30, around=_peers)
def two_at_once(trial: Trial) -> str:
    """Of two processes that send the same name and size, and one answer lost, none is given the other's file."""
    chance, size = trial.random, trial.random.randrange(1, 10_000)
    steps = [lost(trial, "after_store", delay=chance.choice((0, 0.02))), Step(delay=chance.choice((0, 0.02)))]
    chance.shuffle(steps)
    with FaultServer(*steps) as server:
        for number, peer in enumerate(trial.shared):
            asked = {"url": server.url, "name": "same.bin", "size": size, "seed": trial.seed * 2 + number}
            peer.stdin.write(json.dumps(asked) + "\n")
            peer.stdin.flush()
            time.sleep(chance.choice((0, 0.005)))
        said = [json.loads(peer.stdout.readline()) for peer in trial.shared]
        by_id = {file.id: file.sha256 for file in server.stored}
        assert 2 == len(server.stored), f"{len(server.stored)} are stored"
        for one in said:
            assert one["ambiguous"] or one["id"], one["error"]
            assert one["id"] is None or one["sha256"] == by_id[one["id"]], "the other's file"
    return "ambiguous" if any(one["ambiguous"] for one in said) else "both found"


def _lists(trial: Trial) -> dict[str, Any]:
    """Return a server's habits: the documented order on pages of some size, or any order on one page."""
    size = trial.random.choice((1, 2, 1000))
    return {"newest_first": size < 1000 or trial.random.random() < 0.5, "page_size": size}


# -- answers that are refusals -----------------------------------------------------------------------------------------


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


WAITS = (
    lambda chance: str(chance.randrange(1, 100)),
    lambda chance: f"{chance.uniform(0.001, 0.04):.3f}",
    lambda chance: _date(chance.randrange(10, 1000)),
    lambda chance: _date(-chance.randrange(10, 10_000)),
    lambda chance: str(-chance.randrange(1, 100)),
    lambda chance: "1e9",
    lambda chance: chance.choice(("soon", "", "nan", "inf", "0x10", "1e999", "١")),
    lambda chance: None,
)


@row("N6", full=200, ci=20, around=doors)
def busy(trial: Trial) -> str:
    """A busy server is asked again as soon as it wants, within a limit; without a time it is a limit of spending."""
    value = trial.case(WAITS)(trial.random)
    said = {} if value is None else {"retry-after": value.encode().decode("latin-1")}
    times = trial.random.randrange(1, 5)
    with world(trial, *[_says(trial, 429, headers=said)] * times) as here:
        call = here.upload()
        if value is None:
            return refused(here, call, _errors.RateLimitError)
        most = times * (SCALED.longest_wait + SCALED.most_wait)
        assert call.seconds <= most + 1
        return resent(here, call, times + 1)


def _says(trial: Trial, status: int, when: str | int = "after_body", body: Any = None, **fields: Any) -> Step:
    """Return the step that answers with an error: in `body`, or in JSON or as a proxy's page."""
    return Step(when, "answer", status, body or trial.random.choice(PAGES), **fields)


SERVER_FAULTS = tuple(itertools.product((500, 502, 503, 504, 529), PAGES))


@row("N7", full=500, ci=50, around=doors)
def server_faults(trial: Trial) -> str:
    """After a fault of the server the file is looked for; no text of a proxy's page is ever shown."""
    status, page = trial.case(SERVER_FAULTS)
    stores, times = trial.random.random() < 0.3, trial.random.choice((1, 2, 5))
    steps = [_says(trial, status, body=page) for _ in range(times)]
    if stores:
        steps[-1] = replace(steps[-1], when="after_store")
    with world(trial, *steps, **_lists(trial)) as here:
        call = here.upload()
        if call.error is not None:
            assert "<" not in str(call.error)
            assert len(str(call.error)) <= 300
        if stores:
            assert call.bound is not None, repr(call.error)
            assert times == here.server.uploads
            return "found"
        return resent(here, call, times + 1) if times < 5 else refused(here, call, _errors.ServerError, 5)


REFUSALS = {
    400: _errors.BadRequestError,
    401: _errors.AuthenticationError,
    403: _errors.PermissionDeniedError,
    404: _errors.NotFoundError,
    409: _errors.ConflictError,
    413: RequestTooLargeError,
}


@row("N8", full=300, ci=30, around=doors)
def refusals(trial: Trial) -> str:
    """A refusal is final and says what it is; 409 alone leaves open whether the file is there, so it is looked for."""
    status, page = trial.case(tuple(itertools.product(REFUSALS, PAGES)))
    stores = status == 409 and trial.random.random() < 0.5
    with world(trial, _says(trial, status, "after_store" if stores else "after_body", page)) as here:
        call = here.upload()
        if status != 409:
            return refused(here, call, REFUSALS[status])
        return found(here, call) if stores else resent(here, call)


@row("N9", full=200, ci=20, around=doors)
def too_large(trial: Trial) -> str:
    """A server that refuses a body before it has read it is understood, though it breaks off."""
    after = trial.random.randrange(1, 500_000)
    step = _says(trial, 413, after)
    with world(trial, replace(step, what=trial.case(("rst", "fin")), before_end=0.1)) as here:
        return refused(here, here.upload(size=8_000_000), RequestTooLargeError)


# -- answers that are none ---------------------------------------------------------------------------------------------


def _without(name: str) -> Any:
    return lambda said: {key: value for key, value in said.items() if key != name}


def _with(**fields: Any) -> Any:
    return lambda said: said | fields


RUBBISH = (
    HTML,
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"file_1"',
    b"{" * 100_000,
    b"\xff\xfe{}",
    b'{"id": "\xff"}',
    b" " * 10_000_000,
    b" " * 34_000_000,
    lambda said: b"\xef\xbb\xbf" + json.dumps(said).encode(),
    lambda said: json.dumps(said).encode()[:-1],
    lambda said: json.dumps(said).encode("utf-16"),
    *(_without(name) for name in ("id", "type", "filename", "mime_type", "size_bytes", "created_at")),
    *(_with(id=value) for value in (None, "", 7, [], {}, True, "x" * 20_000)),
    *(_with(size_bytes=value) for value in (None, "5", -1, 1.5, True, 1 << 70, 123_456_789)),
    *(_with(type=value) for value in (None, "error", "message", 5)),
    *(_with(filename=value) for value in (None, "", "n" * 501, 1)),
    *(_with(created_at=value) for value in (None, "yesterday", 1, "2026-13-01T00:00:00Z", "2026-01-01")),
    _with(mime_type=""),
    _with(downloadable="no"),
)


@row("N10", full=2000, ci=200, around=doors)
def rubbish(trial: Trial) -> str:
    """An answer that is not the Files API's is never bound: the file is looked for."""
    stores = trial.random.random() < 0.5
    times = 1 if stores else trial.random.choice((1, 1, 3))
    body = trial.case(RUBBISH) if trial.random.random() < 0.7 else _mangled(trial)
    with world(trial, *[Step("after_store" if stores else "after_body", "answer", 200, body)] * times) as here:
        call = here.upload()
        if stores:
            return found(here, call)
        return resent(here, call, 2) if times < 3 else refused(here, call, ResponseError, 3)


def _mangled(trial: Trial) -> Any:
    """Return a function that breaks an answer's JSON somewhere."""
    chance = trial.random

    def mangle(said: Any) -> bytes:
        body = bytearray(json.dumps(said).encode())
        body[chance.randrange(len(body) - 1) :] = (
            b"" if chance.random() < 0.5 else chance.randbytes(chance.randrange(9))
        )
        return bytes(body)

    return mangle


FRAMES = {
    "too long": b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{}",
    "too short": b'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{"id": "x"}',
    "bad chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "cut chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{}",
    "1 MB header": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "go on": b"HTTP/1.1 100 Continue\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 20,
}


@row("N11", full=450, ci=45, around=doors)
def bad_framing(trial: Trial) -> str:
    """An answer that HTTP cannot make sense of is none: the file is looked for."""
    stores = trial.random.random() < 0.5
    raw = FRAMES[trial.case(tuple(FRAMES))]
    with world(trial, lost(trial, "after_store" if stores else "after_body", raw=raw, before_end=0.02)) as here:
        call = here.upload()
        return found(here, call) if stores else resent(here, call)


# -- nobody answers ----------------------------------------------------------------------------------------------------

SLOW = (
    ("after_body", "drip"),
    ("after_store", "drip"),
    ("after_headers", "hang"),
    ("after_body", "hang"),
    ("after_store", "hang"),
    ("after_body", "flood"),
)


@row("N12", full=120, ci=12, around=doors)
def too_slow(trial: Trial) -> str:
    """Every call ends in time, whatever the server does not do; what it had stored by then is found."""
    when, what = trial.case(SLOW)
    deaf = (when, what) == ("after_headers", "hang")
    with world(trial, Step(when, what)) as here:
        call = here.upload(size=20_000_000 if deaf else None, patience=replace(SCALED, total=0.4))
        if when == "after_store":
            return found(here, call)
        # Where the last byte had left there is no time to look often enough, so the file may show up yet.
        assert "time" in str(call.error) or "longer" in str(call.error), call.error
        return refused(here, call, DeadlineError if deaf else UnknownOutcomeError)


STOPS = tuple(
    itertools.product(
        (("after_headers", 20_000_000), ("after_headers", 1000), ("after_body", 1000), ("after_store", 1000)),
        (False, True),
    )
)


@row("N12 stopped", full=80, ci=8, around=doors)
def stopped(trial: Trial) -> str:
    """A server that stops dead holds nobody up; what it has stored when it wakes is pending until then."""
    (when, size), killed = trial.case(STOPS)
    with nothing_left(trial.temporary), StoppedServer(when, killed=killed) as server:
        here = World(trial, server)
        call = here.upload(size=size + trial.random.randrange(size), patience=replace(SCALED, total=0.4))
        kept = server.holding(call.content)
        if size > 1000:  # more than the two kernels take, so that the last byte never left
            assert (DeadlineError, []) == (type(call.error), kept), repr(call.error)
            assert [] == here.pending()
            return "DeadlineError"
        assert UnknownOutcomeError is type(call.error), repr(call.error)
        assert [(call.name, len(call.content))] == here.pending()
        if not killed:
            (file,) = kept
            assert ([[file.id]], []) == (here.settle(), here.pending())
        return "UnknownOutcomeError, pending" if killed else "UnknownOutcomeError, found when it woke"


@row("N13", full=80, ci=8, around=doors)
def unreached(trial: Trial) -> str:
    """A server that cannot be reached, or not be trusted, gets no byte of a file."""
    case = trial.case(tuple(UNREACHED))
    with ExitStack() as stack:
        return UNREACHED[case](trial, stack)


def _no_name(trial: Trial, stack: ExitStack) -> str:
    return _not_sent(trial, stack, "https://nbfiles.invalid", ConnectionFailedError)


def _no_listener(trial: Trial, stack: ExitStack) -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return _not_sent(trial, stack, f"http://127.0.0.1:{port}", ConnectionFailedError)


def _plain_text(trial: Trial, stack: ExitStack) -> str:
    return _not_sent(trial, stack, "https", ConnectionFailedError)


def _bad_certificate(*names: str, by: Any = None, **options: Any) -> Any:
    def case(trial: Trial, stack: ExitStack) -> str:
        given = {name: datetime.now(UTC) + timedelta(days=days) for name, days in options.items()}
        issuer = by() if by is not None else None
        return _not_sent(trial, stack, "https", CertificateError, tls=tls(*names, by=issuer, **given))

    return case


def _stranger() -> Any:
    import trustme

    return trustme.CA()


def _self_signed(trial: Trial, stack: ExitStack) -> str:
    """An authority's own certificate, of one that nobody knows, in place of a server's."""
    signed, context = _stranger(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = trial.folder / "self-signed.pem"
    path.write_bytes(signed.cert_pem.bytes() + signed.private_key_pem.bytes())
    context.load_cert_chain(path)
    return _not_sent(trial, stack, "https", CertificateError, tls=context)


UNREACHED = {
    "no such name": _no_name,
    "refused": _no_listener,
    "no TLS": _plain_text,
    "self-signed": _self_signed,
    "unknown authority": _bad_certificate(by=_stranger),
    "another host": _bad_certificate("files.test"),
    "expired": _bad_certificate(not_before=-20, not_after=-10),
    "not yet": _bad_certificate(not_before=10, not_after=20),
}


def _not_sent(trial: Trial, stack: ExitStack, url: str, kind: type[Exception], **options: Any) -> str:
    here = stack.enter_context(world(trial, **options))
    here.url = here.server.url.replace("http:", "https:") if url == "https" else url
    # Once is enough: where nobody knows a name it may take seconds until somebody says so.
    call = here.upload(ca_bundle=bundle(trial.folder), patience=replace(SCALED, total=30, connections=1))
    assert kind is type(call.error), repr(call.error)
    assert getattr(call.error, "way_out", "")
    assert [] == here.server.exchanges
    return kind.__name__


# -- clocks ------------------------------------------------------------------------------------------------------------


@row("N14", full=100, ci=12, around=doors)
def clocks(trial: Trial) -> str:
    """A clock that is a day off, here or there, or jumps while a file is sent, changes nothing."""
    days, jump = trial.case(((1, 0), (-1, 0), (0, -7200), (0, 7200)))
    stores = trial.random.random() < 0.5
    step = lost(trial, "after_store" if stores else "after_body")
    with world(trial, step, skew=timedelta(days=days)) as here, _clock(jump, lambda: here.server.uploads > 0):
        call = here.upload()
    return found(here, call) if stores else resent(here, call)


@contextmanager
def _clock(jump: float, when: Any) -> Iterator[None]:
    """Let this process's clock jump. The machine's own is nobody's to set."""
    real = time.time
    with patch("time.time", lambda: real() + (jump if when() else 0)):
        yield


# -- everything at once ------------------------------------------------------------------------------------------------


@contextmanager
def _nothing_left() -> Iterator[Any]:
    """See that what is open after all trials is what was open before the first, and that no trial left a file."""
    with doors() as shell, nothing_left(folder := Path(tempfile.gettempdir())):
        yield shell
        files = [*folder.parent.glob("*/tmp/*")]
        assert [] == files, f"left: {files}"


MIXED = (
    lost_after_store,
    lost_before_store,
    not_an_old_one,
    busy,
    server_faults,
    refusals,
    too_large,
    rubbish,
    bad_framing,
    too_slow,
    stopped,
    clocks,
)


@row("leaks", full=1000, ci=100, around=_nothing_left)
def leaks(trial: Trial) -> str:
    """After any number of faults of all kinds in one process, nothing is open that was not open before."""
    return trial.random.choice(MIXED)(trial)
