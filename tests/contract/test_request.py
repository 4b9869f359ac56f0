"""The request itself, as an independent server recorded it and two parsers that are not ours read it."""

from __future__ import annotations

import os

import pytest
from doubles import Part, Server, parts_by_email
from hypothesis import given, settings
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser, parse_options_header
from workbench import CANARY, pdf, send

from nbfiles._client import build_upload
from nbfiles._config import Place
from nbfiles._errors import FileNameError, InputError
from nbfiles._models import FileMetadata
from nbfiles._multipart import SMALL, Multipart
from nbfiles._payload import bytes_payload

NAMES = 20_000 if os.environ.get("NBFILES_TRIALS") == "full" else 2_000
BETA = "files-api-2025-04-14"


def parts_by_python_multipart(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of a form as python-multipart finds them."""
    parts: list[dict] = []
    callbacks = {
        "on_part_begin": lambda: parts.append({"headers": [], "field": b"", "value": b"", "data": b""}),
        "on_header_field": lambda data, start, end: parts[-1].update(field=parts[-1]["field"] + data[start:end]),
        "on_header_value": lambda data, start, end: parts[-1].update(value=parts[-1]["value"] + data[start:end]),
        "on_header_end": lambda: (
            parts[-1]["headers"].append((parts[-1].pop("field"), parts[-1].pop("value")))
            or parts[-1].update(field=b"", value=b"")
        ),
        "on_part_data": lambda data, start, end: parts[-1].update(data=parts[-1]["data"] + data[start:end]),
    }
    _, options = parse_options_header(content_type)
    parser = MultipartParser(options[b"boundary"], callbacks)
    assert len(body) == parser.write(body)
    parser.finalize()
    found = []
    for part in parts:
        headers = {name.decode().lower(): value for name, value in part["headers"]}
        _, disposition = parse_options_header(headers["content-disposition"])
        filename = disposition.get(b"filename")
        found.append(
            Part(
                headers=tuple(headers),
                name=disposition[b"name"].decode(),
                filename=None if filename is None else filename.decode(),
                mime_type=headers.get("content-type", b"").decode(),
                content=part["data"],
            )
        )
    return found


@pytest.mark.parametrize("parts_of", [parts_by_email, parts_by_python_multipart])
@pytest.mark.parametrize(
    ("options", "target", "betas"),
    [
        ({}, "/v1/files?beta=true", BETA),
        ({"betas": ["one-2026", "two"]}, "/v1/files?beta=true", f"{BETA},one-2026,two"),
        ({"betas": [BETA, "two"]}, "/v1/files?beta=true", f"{BETA},two"),
        ({"surface": "ga"}, "/v1/files", None),
        ({"surface": "ga", "betas": ["two", BETA]}, "/v1/files", "two"),
    ],
)
def test_an_upload_on_either_surface(options, target, betas, parts_of):
    """An upload is one POST to the surface's path with its headers, one file part, exact bytes and exact length."""
    content = os.urandom(3 << 20)
    with Server() as server:
        (result,) = send(server.url, pdf(content, "é ü.pdf"), **options)
    assert isinstance(result, FileMetadata)
    (exchange,) = server.exchanges
    assert ("POST", target) == (exchange.method, exchange.target)
    assert betas == exchange.header("anthropic-beta")
    assert "2023-06-01" == exchange.header("anthropic-version")
    assert CANARY == exchange.header("x-api-key")
    for absent in ("authorization", "transfer-encoding", "anthropic-workspace-id", "origin", "cookie"):
        assert exchange.header(absent) is None
    assert exchange.length == len(exchange.body)
    content_type = exchange.header("content-type")
    (part,) = parts_of(content_type, bytes(exchange.body))
    expected = Part(("content-disposition", "content-type"), "file", "é ü.pdf", "application/pdf", content)
    assert expected == part


def test_expiry_goes_the_ga_way():
    """An expiry is a plain field before the file, on the GA surface, whichever surface is chosen."""
    with Server() as server:
        send(server.url, pdf(), expires=604_800)
    (exchange,) = server.exchanges
    assert ("/v1/files", None) == (exchange.target, exchange.header("anthropic-beta"))
    field, file = parts_by_email(exchange.header("content-type"), bytes(exchange.body))
    assert ("expires_in_seconds", b"604800", None) == (field.name, field.content, field.filename)
    assert "file" == file.name


def test_the_workspace_is_sent_when_set():
    """A workspace id that was given is a header."""
    with Server() as server:
        send(server.url, workspace_id="wrkspc_1")
    assert "wrkspc_1" == server.exchanges[0].header("anthropic-workspace-id")


@pytest.mark.parametrize(("size", "pieces"), [(0, 1), (5, 1), (SMALL + 1, 3), ((2 << 20) + 1, 5)])
def test_a_small_file_is_one_piece(size, pieces):
    """A small form goes in one piece, a larger one in pieces of at most 1 MiB; together they are the form."""
    multipart = Multipart(bytes_payload(bytes(size), name="a.bin", source="x"))
    sent = list(multipart.chunks())
    assert (pieces, multipart.content_length) == (len(sent), sum(map(len, sent)))
    assert max(map(len, sent)) <= 1 << 20
    (part,) = parts_by_email(multipart.content_type, b"".join(sent))
    assert bytes(size) == part.content


@settings(max_examples=NAMES, deadline=None)
@given(st.text(max_size=300), st.binary(max_size=64))
def test_any_name_is_sent_whole_or_refused(name, content):
    """Whatever a file is called, it is exactly one part with exactly that name, or it is refused before it is sent."""
    try:
        payload = bytes_payload(content, name=name, source="x", asked="text/plain" if not content else None)
    except (FileNameError, InputError):
        return
    multipart = Multipart(payload)
    body = b"".join(multipart.chunks())
    assert multipart.content_length == len(body)
    assert str(len(body)) == build_upload(Place("https://x", "test"), multipart).headers["content-length"]
    for parts_of in (parts_by_email, parts_by_python_multipart):
        (part,) = parts_of(multipart.content_type, body)
        assert ("file", name, content) == (part.name, part.filename, part.content)
        assert ("content-disposition", "content-type") == part.headers


def test_a_boundary_is_never_used_twice():
    """Boundaries are 128 random bits, so no content can hold the next one."""
    found = {Multipart(pdf()).content_type for _ in range(10_000)}
    assert 10_000 == len(found)
