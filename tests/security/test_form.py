"""The form's only part, read by a third parser, and its boundary: nothing that is sent can end it or add to it."""

from __future__ import annotations

import os
import re

import pytest
from doubles import parts_by_email
from hostile import PAYLOADS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, parse_body_arguments
from workbench import pdf

from nbfiles._errors import FileNameError, InputError
from nbfiles._multipart import Multipart
from nbfiles._payload import bytes_payload

NAMES = 20_000 if os.environ.get("NBFILES_TRIALS") == "full" else 2_000
TYPES = ("text/plain", 'text/plain; charset="utf-8"', "application/x+json; v=1")
# What has forged a header or a part elsewhere.
FORGED = (
    'a"\r\nX-Evil: 1\r\n\r\nbody', 'a"; name="other', "a\r\n\r\n--b--\r\n", "a%22; name=%22other", "a\\", 'a\\"',
    "a;b=c", "a; filename*=UTF-8''evil.html", "=?utf-8?q?a?=", "a\x85b", "a\u2028b", "a\u0000b", "ａ＂b", " a ", "a'b",
)  # fmt: skip


def parts_by_tornado(content_type: str, body: bytes) -> list[tuple[str, str, str, bytes]]:
    """Return field, name, type and content of each file of a form as tornado finds them."""
    fields, files = {}, {}
    parse_body_arguments(content_type, body, fields, files, HTTPHeaders())
    assert {} == fields
    return [
        (field, file.filename, file.content_type, file.body) for field, found in files.items() for file in found
    ]  # fmt: skip


def check(name: str, mime_type: str, content: bytes) -> None:
    """See that the form of a file has exactly this one part, or that the file is refused."""
    try:
        multipart = Multipart(bytes_payload(content, name=name, source="x", asked=mime_type))
    except (FileNameError, InputError):
        return
    body = b"".join(multipart.chunks())
    assert [("file", name, mime_type, content)] == parts_by_tornado(multipart.content_type, body)
    head = body.partition(b"\r\n\r\n")[0]
    assert 3 == len(re.split(rb"[\r\n]+", head))


@settings(max_examples=NAMES, deadline=None)
@given(st.text(max_size=300), st.sampled_from(TYPES), st.binary(max_size=64))
@example("a", TYPES[1], b"\r\n--")
def test_any_name_is_one_part_to_tornado(name, mime_type, content):
    """A third parser, tornado's, finds what the other two find: one part with that name and that type, two headers."""
    check(name, mime_type, content)


@pytest.mark.parametrize("name", [*FORGED, *PAYLOADS])
def test_no_name_forges_a_part(name):
    """Names that have broken out of their quotes elsewhere are refused, or are only names."""
    check(name, "text/plain", b"x")
    check(f"{name}.csv", "text/plain", b"x")


@pytest.mark.parametrize(
    "mime_type", ["a/b\r\nX: 1", "a/b\n", 'a/b; x="\r\n"', "a/b; x=y\r\n\r\n", "a", "a/b/c", "ä/b", ""]
)
def test_no_type_forges_a_header(mime_type):
    """A type that is none never gets as far as a form."""
    with pytest.raises(InputError):
        bytes_payload(b"x", name="a.txt", source="x", asked=mime_type)


def test_a_boundary_is_128_random_bits():
    """Boundaries are 32 hexadecimal digits, each in every place, of ten thousand no two alike."""
    found = [Multipart(pdf()).content_type.removeprefix("multipart/form-data; boundary=") for _ in range(10_000)]
    assert 10_000 == len(set(found))
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in found)
    assert {16} == {len(set(places)) for places in zip(*found, strict=True)}


@pytest.mark.parametrize("parts_of", [parts_by_email, parts_by_tornado])
def test_content_that_holds_an_earlier_boundary(parts_of):
    """A whole form, sent as a file, is one part with exactly its bytes."""
    before = Multipart(pdf(b"%PDF-1"))
    content = b"%PDF-" + b"".join(before.chunks()) * 2
    multipart = Multipart(pdf(content))
    (part,) = parts_of(multipart.content_type, b"".join(multipart.chunks()))
    assert content == part[-1]
