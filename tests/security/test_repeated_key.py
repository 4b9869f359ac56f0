"""Servers, and gateways before them, that repeat the key they were sent: it is in no error of ours and in no log."""

from __future__ import annotations

import base64
import html
import json
import logging
import pickle
import traceback
from urllib.parse import quote, quote_plus

import pytest
from doubles import Server, answers, metadata, says
from hypothesis import given
from hypothesis import strategies as st
from workbench import where

from nbfiles._answers import api_error
from nbfiles._client import Client
from nbfiles._credentials import Credential, Secret
from nbfiles._errors import APIError, Error

KEYS = {
    "Anthropic's": "sk-ant-api03-Zk3_9q-Xv7Lw0RtYbN5sJdH2mPcA8",
    "a token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "a gateway's": "gw/9F+8e=7d&6c%5b4a:3x",
    "a password": "hunter2!",
    "all that is not a letter": "\"\\'<&>%{}#",
    "the shortest that is one": "q7Zx",
}
WAYS = {
    "as it is": str,
    "with a word before it": "Bearer {}".format,
    "twenty times": lambda key: f"{key} " * 20,
    "in capitals": str.upper,
    "in a URL": lambda key: quote(key, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "in Python": repr,
    "in HTML": html.escape,
    "in base64": lambda key: base64.b64encode(key.encode()).decode(),
    "as a password in base64": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "as a token in base64": lambda key: base64.urlsafe_b64encode(f"Bearer {key}\r\n".encode()).decode(),
}
PLACES = ("message", "type", "code", "request-id", "location")


def shown(error: BaseException) -> str:
    """Return everything that `error` tells those who look closely."""
    tracebacks = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return f"{error} {error!r} {vars(error)} {''.join(tracebacks)} {pickle.dumps(error).decode('latin-1')}"


def gives_away(key: str, text: str) -> bool:
    """Whether somebody who reads `text` has `key`: as it is, or when one of the usual codings is undone."""
    coded = [base64.b64encode(bytes(at) + key.encode())[4 if at else 0 : -4].decode() for at in range(3)]
    middles = [middle for middle in coded if len(middle) >= 6]  # fewer stand anywhere by chance
    forms = [key, quote(key, safe=""), quote(key), html.escape(key), json.dumps(key)[1:-1], repr(key)[1:-1], *middles]
    return any(form.lower() in text.lower() for form in forms)


def refusal(key: str, said: str, place: str, *, bearer: bool = False) -> Error:
    """Return our error for an answer that says `said` in `place`."""
    named = {name: said if place == name else "" for name in ("message", "type", "code")}
    error = {"message": named["message"], "type": named["type"], "details": {"error_code": named["code"]}}
    return api_error(
        301 if place == "location" else 503 if place == "request-id" else 400,
        {"request-id": said, "location": f"https://{said}.test/{said}"} if place not in named else {},
        json.dumps({"error": error}).encode(),
        place=where("https://example.test"),
        credential=Credential(Secret(key), "ANTHROPIC_API_KEY", bearer),
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KEYS)
def test_no_error_repeats_it(kind, way, place):
    """Wherever an answer holds the key, of whatever shape and in whatever coding, the error holds it nowhere."""
    error = refusal(KEYS[kind], WAYS[way](KEYS[kind]), place)
    assert not gives_away(KEYS[kind], shown(error))
    assert "location" == place or "<hidden>" in shown(error)  # a key need not be the name of a host


@pytest.mark.parametrize("place", PLACES)
def test_somebody_elses_key_is_not_repeated_either(place):
    """A key of Anthropic's that was never ours is hidden too."""
    assert not gives_away(KEYS["Anthropic's"], shown(refusal("another key", KEYS["Anthropic's"], place)))


def test_the_end_of_it_is_hidden():
    """A server that quotes the last characters of a long key, as many do, is not quoted."""
    key = KEYS["a token"]
    assert "no such key: ...<hidden>" in str(refusal(key, f"no such key: ...{key[-12:]}", "message"))


@pytest.mark.parametrize("key", ["x", "no", "abc"])
def test_what_is_too_short_for_a_secret_is_left(key):
    """Where a gateway wants no key people write some letters: the server's words stay whole, and spell nothing out."""
    assert "abc is no number, x neither" in str(refusal(key, "abc is no number, x neither", "message"))


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=120),
    st.sampled_from(sorted(WAYS)),
    st.text(max_size=5),
    st.text(max_size=5),
)
def test_any_key_is_hidden(key, way, before, after):
    """Whatever the key is, however it is coded, and whatever stands around it, it is taken out."""
    left = Secret(key).hide(f"{before}{WAYS[way](key)}{after}").replace("<hidden>", "\0")
    assert "\0" in left
    assert key.lower() not in left.lower()


@given(st.text(max_size=200))
def test_a_text_without_it_stays(text):
    """What does not hold the key is not touched."""
    assert text == Secret("gw/9F+8e=7d&6c%5b4a:3x").hide(text)


def repeats(exchange) -> None:
    """Refuse the request, and say the key wherever there is room."""
    exchange.read()
    said = exchange.header("x-api-key") or exchange.header("authorization")
    error = {"type": said, "message": f"not good: {said}", "details": {"error_code": said}}
    exchange.answer(400, {"error": error}, {"request-id": said, "x-debug": f"was {said}", "set-cookie": f"k={said}"})


def asks(url: str, credential: Credential) -> BaseException | None:
    """Ask for a file; return the error."""
    client = Client(where(url), credential)
    try:
        client.metadata("file_1")
    except Error as error:
        return error
    finally:
        client.close()
    return None


@pytest.mark.parametrize("bearer", [False, True], ids=["key", "token"])
@pytest.mark.parametrize("kind", KEYS)
def test_neither_error_nor_log_repeats_it(kind, bearer, caplog):
    """Over a real connection, with all loggers at DEBUG: what the server repeats is in no error and no log."""
    caplog.set_level(logging.DEBUG)
    with Server(repeats) as server:
        error = asks(server.url, Credential(Secret(KEYS[kind]), "ANTHROPIC_API_KEY", bearer))
        assert KEYS[kind] in server.exchanges[0].header("authorization" if bearer else "x-api-key")
    assert isinstance(error, APIError)
    for text in (shown(error), caplog.text):
        assert "<hidden>" in text
        assert not gives_away(KEYS[kind], text)


@pytest.mark.parametrize("kind", KEYS)
def test_no_log_repeats_what_is_no_answer(kind, caplog):
    """A server that says the key where an answer should begin is no more quoted than one that answers."""
    caplog.set_level(logging.DEBUG)
    with Server(says(f"x-api-key: {KEYS[kind]}\r\n\r\n".encode())) as server:
        error = asks(server.url, Credential(Secret(KEYS[kind]), "ANTHROPIC_API_KEY"))
    assert isinstance(error, Error)
    assert "<hidden>" in caplog.text
    assert not gives_away(KEYS[kind], shown(error) + caplog.text)


def test_a_log_without_the_key_is_httpcores_own(caplog):
    """What a server says that has nothing to do with the key is logged as ever."""
    caplog.set_level(logging.DEBUG)
    with Server(answers(200, metadata("file_1"))) as server:
        assert None is asks(server.url, Credential(Secret("a gateway's"), "ANTHROPIC_API_KEY"))
    assert "receive_response_headers.complete return_value=(b'HTTP/1.1', 200, b'Whatever', [(b'" in caplog.text
