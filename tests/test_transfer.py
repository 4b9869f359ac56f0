"""The engine against servers that misbehave: what is repeated, what ends when, and what is never a success."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from doubles import (
    Proxy,
    Server,
    answers,
    breaks_off,
    deaf,
    drips,
    lists,
    metadata,
    says,
    silent,
    silent_after_the_head,
    stored,
)
from hypothesis import given
from hypothesis import strategies as st
from workbench import QUICK, Watch, big, bundle, key, manager, pdf, send, tls, where

from nbfiles import _errors
from nbfiles._answers import api_error, parse_json, retry_after
from nbfiles._errors import (
    CertificateError,
    ConnectionFailedError,
    DeadlineError,
    RateLimitError,
    ResponseError,
    ServerError,
    UnknownOutcomeError,
)
from nbfiles._events import Done, Failed, Progress, Queued, Retrying
from nbfiles._models import FileMetadata
from nbfiles._tasks import Ask, Delete, Patience, Upload

BUSY = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}, "request_id": "req_9"}


# ---- what is repeated ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0.01", "1", "Wed, 21 Oct 2015 07:28:00 GMT", "-5", "1e9", "soon", "0"])
def test_busy_is_asked_again(value):
    """A 429 that names a time, readable or not, is repeated, and progress starts honestly from zero again."""
    watch = Watch()
    with Server(answers(429, BUSY, retry_after=value), stored) as server:
        (result,) = send(server.url, pdf(b"%PDF-12345"), watch=watch)
    assert isinstance(result, FileMetadata)
    assert 2 == len(server.exchanges)
    assert [0, 10, 0, 10] == [sent for sent, _ in itertools.groupby(event.sent for event in watch.of(Progress))]
    (retrying,) = watch.of(Retrying)
    assert (2, 5) == (retrying.attempt, retrying.attempts)
    assert retrying.delay <= QUICK.longest_wait + QUICK.most_wait
    assert [Queued, Done] == [type(watch.events[0]), type(watch.events[-1])]


def test_a_spending_limit_is_not_asked_again():
    """A 429 without a time is a limit that waiting does not lift."""
    with Server(answers(429, BUSY)) as server:
        (result,) = send(server.url)
    assert (RateLimitError, 1, 429) == (type(result), len(server.exchanges), result.status)


def test_busy_ends_after_five_attempts():
    """A server that stays busy is asked five times."""
    with Server(answers(429, BUSY, retry_after="0")) as server:
        (result,) = send(server.url)
    assert (RateLimitError, 5) == (type(result), len(server.exchanges))


def test_no_retry_is_one_attempt():
    """``retry=False`` sends at most once, even where repeating could do no harm."""
    with Server(answers(429, BUSY, retry_after="0"), stored) as server:
        (result,) = send(server.url, retry=False)
    assert (RateLimitError, 1) == (type(result), len(server.exchanges))


def test_refused_connections_are_tried_three_times():
    """A server that is down is tried three times, then it says so; no byte was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    watch = Watch()
    (result,) = send(url, watch=watch)
    assert type(result) is ConnectionFailedError
    assert "connection refused" in str(result)
    assert [2, 3] == [event.attempt for event in watch.of(Retrying)]
    assert [result] == [event.error for event in watch.of(Failed)]


@pytest.mark.parametrize("kind", ["self-signed", "wrong host", "expired"])
def test_a_certificate_that_is_not_trusted(kind, tmp_path):
    """No byte of a body goes to a server whose certificate is not trusted, and it is tried once."""
    context = {
        "self-signed": tls,
        "wrong host": lambda: tls("other.test"),
        "expired": lambda: tls("127.0.0.1", not_before=datetime(2020, 1, 1, tzinfo=UTC),
                               not_after=datetime(2020, 2, 1, tzinfo=UTC)),
    }[kind]()  # fmt: skip
    arguments = {} if kind == "self-signed" else {"ca_bundle": bundle(tmp_path)}
    with Server(tls=context) as server:
        (result,) = send(server.url, **arguments)
    assert (CertificateError, [], 1) == (type(result), server.exchanges, len(server.wires))


def test_asking_and_deleting_are_repeated():
    """What changes nothing, or only once, is repeated after faults and broken connections."""
    with Server(answers(500), breaks_off(), answers(529), answers(200, metadata())) as server:
        (result,) = manager(server.url).run([Ask(lambda client: client.metadata("file_0000"))], Watch())
    assert ("file_0000", 4) == (result.id, len(server.exchanges))
    gone: list[str] = []
    with Server(breaks_off(), answers(404, BUSY)) as server:
        assert [None] == manager(server.url).run([Delete("file_0000", gone.extend)], Watch())
    with Server(answers(404, BUSY)) as server:
        (result,) = manager(server.url).run([Delete("file_0001", gone.extend)], Watch())
    assert type(result) is _errors.NotFoundError
    with Server(answers(403, BUSY)) as server:
        manager(server.url).run([Delete("file_0002", gone.extend)], Watch())
    assert ["file_0000", "file_0001"] == gone


@pytest.mark.parametrize(("said", "count"), [("false", 1), ("true", 3)])
def test_the_server_may_say_whether_to_ask_again(said, count):
    """``x-should-retry`` decides for what may be asked again at all."""
    with Server(*[answers(503, x_should_retry=said)] * 2, answers(200, metadata())) as server:
        manager(server.url).run([Ask(lambda client: client.metadata("a"))], Watch())
    assert count == len(server.exchanges)


def test_after_a_hopeless_error_the_rest_is_not_tried():
    """A key that is refused is not tried with a thousand files."""
    with Server(answers(401, BUSY)) as server:
        results = send(server.url, *[pdf() for _ in range(10)])
    assert 10 == len([result for result in results if isinstance(result, _errors.AuthenticationError)])
    assert 1 == len(server.exchanges)


def test_one_failure_does_not_stop_the_others():
    """Files fail one by one."""
    with Server(answers(400, BUSY), stored) as server:
        results = send(server.url, pdf(), pdf(), pdf())
    kinds = [_errors.BadRequestError, FileMetadata, FileMetadata]
    assert (kinds, 3) == ([type(result) for result in results], len(server.exchanges))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "inf"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 30),
        ({"retry-after": "Mon, 23 Nov 2026 09:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 0),
    ],
)
def test_retry_after(headers, expected):
    """Seconds, milliseconds and dates are read; a date counts from the server's own clock."""
    assert expected == retry_after(headers)


def test_a_date_without_the_servers_clock_counts_from_ours():
    """Where the server tells no date of its own, ours has to do."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after({"retry-after": soon}) <= 100


@given(st.integers(1, 50), st.none() | st.floats(0, 1e12))
def test_no_wait_is_longer_than_a_minute(attempt, asked):
    """One wait is at most 60 s, whatever the server asks for, and at least what it asks for below that."""
    waited = Patience().wait(attempt, asked)
    assert min(asked or 0, 60) <= waited <= 60


def test_waits_grow():
    """Attempts are half a second apart at first, and never more than eight."""
    patience = Patience()
    assert 0.375 <= patience.wait(1, None) <= 0.5
    assert 6 <= patience.wait(9, None) <= 8


# ---- how long it may take --------------------------------------------------------------------------------------------


def test_the_limits_are_those_that_are_promised():
    """120 s and a second for each 32 KiB; 120 s for the answer; 60 s for one wait."""
    patience = Patience()
    assert (120, 121, 120, 60) == (patience.limit(0), patience.limit(32 << 10), patience.answer, patience.longest_wait)


@pytest.mark.parametrize("script", [drips, silent, silent_after_the_head])
def test_an_answer_has_a_limit(script):
    """A server that has everything and answers slowly, half or never is left in time, the outcome unknown."""
    started = time.monotonic()
    with Server(script) as server:
        (result,) = send(server.url, patience=replace(QUICK, total=1, answer=0.3))
        server.go_on.set()
    assert UnknownOutcomeError is type(result)
    assert time.monotonic() - started < 1 + QUICK.late_look + 2


@pytest.mark.parametrize("timeout", [None, 0.2])
def test_a_server_that_reads_nothing_has_a_limit(timeout):
    """A server that takes no bytes is left when the call's time is up; ``timeout`` sets it."""
    started = time.monotonic()
    with Server(deaf) as server:
        (result,) = send(server.url, big(), patience=replace(QUICK, total=0.4), timeout=timeout)
        server.go_on.set()
    assert DeadlineError is type(result)  # it cannot have a whole file
    assert time.monotonic() - started < 2.4


def test_a_question_has_a_limit():
    """A question that is not answered ends with an error that says how to give it more time."""
    with Server(silent) as server:
        (result,) = manager(server.url).run([Ask(lambda client: client.metadata("a"), timeout=0.2)], Watch())
    assert DeadlineError is type(result)
    assert "--timeout" in str(result)


def test_waiting_does_not_outlast_the_limit():
    """No attempt is waited for that would begin after the call's time is up."""
    with Server(answers(429, BUSY, retry_after="60")) as server:
        (result,) = send(server.url, patience=Patience(), timeout=5)
    assert (RateLimitError, 1) == (type(result), len(server.exchanges))


# ---- what is never a success -----------------------------------------------------------------------------------------

RUBBISH = {
    "a login page": b"<html><body>Please log in</body></html>",
    "an empty object": {},
    "a list": [],
    "nothing": b"",
    "a null id": metadata(id=None),
    "an empty id": metadata(""),
    "a number for an id": metadata(id=7),
    "another size": metadata(size_bytes=6),
    "a negative size": metadata(size_bytes=-1),
    "true for a size": metadata(size_bytes=True),
    "another type": metadata(type="folder"),
    "no name": metadata(filename=""),
    "a long name": metadata(filename="x" * 501),
    "no mime type": metadata(mime_type=None),
    "a date without time": metadata(created_at="2026-11-23"),
    "a time without zone": metadata(created_at="2026-11-23T10:00:00"),
    "no time": metadata(created_at="yesterday"),
    "a text for a flag": metadata(downloadable="no"),
    "half": b'{"id": "file_1", "type": "fi',
    "invalid UTF-8": b'{"id": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "deep": b"[" * 100_000,
    "40 MiB": b" " * (40 << 20),
}


@pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_is_never_a_success(body):
    """A 200 that is not about the file that was sent is an unknown outcome: nothing is bound, nothing is resent."""
    with Server(answers(200, body)) as server:
        (result,) = send(server.url)
    assert (UnknownOutcomeError, 1) == (type(result), server.uploads)
    assert "log in" not in str(result)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * (1 << 20) + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    ],
)
def test_a_broken_answer_is_never_a_success(raw):
    """An answer that HTTP does not allow, or that the Files API never gives, is an unknown outcome."""
    with Server(says(raw)) as server:
        (result,) = send(server.url)
    assert UnknownOutcomeError is type(result)


def test_more_fields_are_kept():
    """What a later version adds is kept, and no reason to refuse."""
    with Server(answers(200, metadata(size_bytes=5, expires_at=None, scope=None, colour="blue"))) as server:
        (result,) = send(server.url)
    assert {"colour": "blue"} == dict(result.extra)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status):
    """Neither key nor bytes go where a redirect points; the message names its host and no more."""
    with Server() as target:
        location = f"http://localhost:{target.address[1]}/secret?token=1"
        with Server(answers(status, b"", location=location)) as server:
            (result,) = send(server.url)
        assert (0, 0) == (len(target.wires), len(target.exchanges))
    assert UnknownOutcomeError is type(result)
    assert "localhost" in str(result)
    assert "token" not in str(result)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, _errors.BadRequestError),
        (400, "storage_quota_exceeded", _errors.StorageFullError),
        (403, "storage_quota_exceeded", _errors.StorageFullError),
        (400, "file_not_downloadable", _errors.NotDownloadableError),
        (400, "organization_on_hold", _errors.BadRequestError),
        (401, None, _errors.AuthenticationError),
        (402, None, _errors.BillingError),
        (403, None, _errors.PermissionDeniedError),
        (404, None, _errors.NotFoundError),
        (404, "file_expired", _errors.FileExpiredError),
        (409, None, _errors.ConflictError),
        (413, None, _errors.RequestTooLargeError),
        (418, None, _errors.APIError),
        (422, None, _errors.APIError),
        (429, None, RateLimitError),
        (500, None, ServerError),
        (503, None, ServerError),
        (529, None, ServerError),
        (599, "new_code", ServerError),
    ],
)
def test_errors_are_mapped(status, code, kind):
    """Status, then error code, decide the class; the request id is kept; the error is one line."""
    body = {"type": "error", "error": {"type": "some_error", "message": "No\x1b[2J.", "details": {"error_code": code}}}
    with Server(answers(status, body, request_id="req_1"), listing=lists()) as server:
        (result,) = send(server.url)
    assert kind is type(result)
    assert (status, "some_error", code, "req_1") == (
        result.status, result.error_type, result.error_code, result.request_id)  # fmt: skip
    assert "\x1b" not in str(result)


def test_an_early_413_is_seen_while_the_body_flows():
    """A server that refuses a body before it has read it is understood, though it breaks off."""

    def refuse(exchange) -> None:
        exchange.read(1000)
        exchange.answer(413, b"<html>too large</html>", {"connection": "close"})
        exchange.wire.drain()

    with Server(refuse) as server:
        (result,) = send(server.url, big())
    assert _errors.RequestTooLargeError is type(result)
    assert len(server.exchanges[0].body) < 64 << 20


@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_error_body_makes_an_error(body, status):
    """Whatever stands in an error's body, it becomes one error whose line holds none of its markup."""
    error = api_error(status, {}, body, place=where("https://example.test"), credential=key())
    assert isinstance(error, ResponseError if status < 400 else _errors.APIError)
    assert "\n" not in str(error)


@given(st.binary(max_size=100))
def test_any_body_is_json_or_an_error(body):
    """A body is JSON as the standard library reads it, or it is an error of ours."""
    try:
        expected = json.loads(body.decode("utf-8"))
    except ValueError:
        with pytest.raises(ResponseError, match="Claude answered with"):
            parse_json(body, "Claude")
    else:
        found = parse_json(body, "Claude")
        assert expected == found or expected != expected  # NaN


# ---- proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_loopback_goes_round_every_proxy(host, monkeypatch):
    """What is on this machine is not told to a proxy."""
    with Proxy() as proxy, Server(host=host) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        (result,) = send(server.url)
        assert isinstance(result, FileMetadata)
        assert [] == proxy.tunnels


def test_other_hosts_go_through_the_proxy(monkeypatch, tmp_path):
    """The environment's proxy carries https as a tunnel, and sees neither key nor file."""
    with Server(tls=tls("files.test")) as server, Proxy({"files.test": server.address}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", bundle(tmp_path))
        (result,) = send(f"https://files.test:{server.address[1]}")
        assert isinstance(result, FileMetadata)
        (tunnel,) = proxy.tunnels
    assert tunnel.head.startswith(b"CONNECT files.test:")
    assert b"sk-ant" not in tunnel.head + tunnel.raw


# ---- awaiting --------------------------------------------------------------------------------------------------------


def test_awaiting_gives_the_same():
    """`run_async` returns what `run` returns, and tells the observer the same."""
    watch = Watch()
    with Server(stored, answers(400, BUSY)) as server:
        results = asyncio.run(manager(server.url).run_async([Upload(pdf()), Upload(pdf())], watch))
    assert [FileMetadata, _errors.BadRequestError] == [type(result) for result in results]
    assert [Queued, Queued] == [type(event) for event in watch.events[:2]]
    assert (1, 1) == (len(watch.of(Done)), len(watch.of(Failed)))


def test_many_files_on_few_connections():
    """Each worker keeps its connection warm from file to file."""
    with Server() as server:
        results = send(server.url, *[pdf(b"%PDF-" + str(n).encode(), f"{n}.pdf") for n in range(40)], jobs=4)
    assert [f"{n}.pdf" for n in range(40)] == [result.filename for result in results]
    assert len(server.wires) <= 4
