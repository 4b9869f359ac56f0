"""The form of an upload: what it may hold, how much of anything, and that it is read in any pieces."""

from __future__ import annotations

import pytest
from faults.local_forms import BOMBS, EXPIRES, FILE, body
from hypothesis import given, settings
from hypothesis import strategies as st

from nbfiles.local import _parser
from nbfiles.local._parser import UploadForm
from nbfiles.local._refusal import Refusal

TYPE = "multipart/form-data; boundary=B"


def read(data, *, size=None, content_type=TYPE, expiry=True):
    """Read a whole body in pieces of `size`; return the form and the file's bytes."""
    form = UploadForm(content_type, expiry=expiry)
    size = size or max(len(data), 1)
    content = b""
    for start in range(0, len(data), size):
        form.feed(data[start : start + size])
        content += form.take()
    form.finish()
    return form, content


def refusal(data, **options):
    with pytest.raises(Refusal) as caught:
        read(data, **options)
    return caught.value


def named(filename, mime_type="text/plain"):
    """Return the name that a file sent with this parameter gets."""
    head = f'Content-Disposition: form-data; name="file"{filename}\r\nContent-Type: {mime_type}'
    return read(body((head, b"x")))[0].filename


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, None])
def test_pieces(size):
    """The same form comes out, however its bytes are cut."""
    content = b"\r\n--B\r\r\n--\n--BB\r\n-" * 3
    data = body(
        ('Content-Disposition: form-data; name="expires_in_seconds"', b"3600"), (FILE, content.replace(b"--B", b"--C"))
    )
    form, got = read(data, size=size)
    assert content.replace(b"--B", b"--C") == got
    assert ("a.txt", "text/plain", 3600) == (form.filename, form.mime_type, form.lifetime)


@given(st.binary(max_size=300), st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data, size):
    """Bytes that are no form are refused with 400, whatever they are."""
    assert 400 == refusal(data, size=size).status


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_broken_forms(data):
    """A form with bytes changed, lost or repeated is read or refused, and nothing else happens."""
    whole = body(('Content-Disposition: form-data; name="expires_in_seconds"', b"3600"), (FILE, b"hello"))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    changed = whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:]
    outcome = None
    try:
        form, _ = read(changed, size=data.draw(st.integers(1, 200)))
        assert 1 <= len(form.filename) <= 255
    except Refusal as error:
        outcome = error
    assert outcome is None or 400 == outcome.status


NAMES = [
    ('; filename="a.txt"', "a.txt"),
    ("; filename=a.txt", "a.txt"),
    ('; filename="/home/x/a.txt"', "a.txt"),
    ('; filename="C:\\\\Users\\\\me\\\\a.txt"', "a.txt"),
    ('; filename="C:\\Users\\me\\a.txt"', "a.txt"),
    ('; filename="../../a.txt"', "a.txt"),
    ('; filename="a%22b.txt"', "a%22b.txt"),
    ('; filename="Ünï – 文.txt"', "Ünï – 文.txt"),
    ('; filename="a; name=b.txt"', "a; name=b.txt"),
    ("; filename=\"a.txt\"; filename*=UTF-8''b.txt", "a.txt"),
    ("; filename*=UTF-8''b.txt", "unnamed.txt"),
    ('; filename=""', "unnamed.txt"),
    ('; filename="folder/"', "unnamed.txt"),
    ("", "unnamed.txt"),
]


@pytest.mark.parametrize(("parameter", "expected"), NAMES)
def test_names(parameter, expected):
    """The last component of the name is kept as it was sent, and a missing name is made from the type."""
    assert expected == named(parameter)


@pytest.mark.parametrize(("mime_type", "expected"), [
    ("application/pdf", "unnamed.pdf"), ("text/html; charset=utf-8", "unnamed.html"), ("image/jpeg", "unnamed.jpg"),
    ("application/octet-stream", "unnamed"), ("application/x-own", "unnamed")])  # fmt: skip
def test_unnamed(mime_type, expected):
    """A file without a name gets the ending of its type, when that is known."""
    assert expected == named("", mime_type)


BAD_NAMES = ["a:b.txt", "a?.txt", "a*.txt", "a<b>.txt", "a|b.txt", 'a\\"b.txt', "a\x07b.txt", "a\x00b", "x" * 256]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name):
    """A name that the Files API refuses is refused with 400."""
    head = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    error = refusal(body((head, b"x")))
    assert (400, "Invalid filename") == (error.status, error.message[:16])


def test_name_that_is_not_utf8():
    """A name in another encoding than UTF-8 is refused, not guessed at."""
    error = refusal(body((b'Content-Disposition: form-data; name="file"; filename="\xfc.txt"', b"x")))
    assert (400, "Invalid filename") == (error.status, error.message[:16])


def test_type_left_out():
    """A file sent without a type is bytes."""
    form, _ = read(body(('Content-Disposition: form-data; name="file"', b"x")))
    assert "application/octet-stream" == form.mime_type


REFUSED = {
    "no file": body(),
    "only a field": body((EXPIRES, b"3600")),
    "two files": body((FILE, b"x"), (FILE, b"y")),
    "another field": body((FILE, b"x"), ('Content-Disposition: form-data; name="purpose"', b"x")),
    "a part without a name": body((FILE, b"x"), ("Content-Disposition: form-data", b"x")),
    "a part without a disposition": body((FILE, b"x"), ("Content-Type: text/plain", b"x")),
    "an attachment": body(('Content-Disposition: attachment; name="file"', b"x")),
    "two names": body(('Content-Disposition: form-data; name="file"; filename="a"; filename="b"', b"x")),
    "a header twice": body((FILE + '\r\ncontent-disposition: form-data; name="file"', b"x")),
    "an open quote": body(('Content-Disposition: form-data; name="file', b"x")),
    "no type": body(('Content-Disposition: form-data; name="file"\r\nContent-Type: text', b"x")),
    "expiry twice": body((EXPIRES, b"3600"), (EXPIRES, b"3600"), (FILE, b"x")),
    "expiry too soon": body((EXPIRES, b"3599"), (FILE, b"x")),
    "expiry too late": body((EXPIRES, b"7776001"), (FILE, b"x")),
    "expiry no number": body((EXPIRES, "３６００".encode()), (FILE, b"x")),
    "expiry too long": body((EXPIRES, b"3" * 2000), (FILE, b"x")),
    "the end missing": body((FILE, b"x"))[:-8],
    "nothing": b"",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_refused(data):
    """A form that breaks a rule is refused with 400."""
    assert 400 == refusal(data).status


@pytest.mark.parametrize(("seconds", "expected"), [(b"3600", 3600), (b"7776000", 7776000)])
def test_expiry(seconds, expected):
    """A file may live from one hour to ninety days."""
    assert expected == read(body((EXPIRES, seconds), (FILE, b"x")))[0].lifetime


def test_expiry_on_the_legacy_surface():
    """The legacy surface knows no expiry."""
    assert "Extra inputs" in refusal(body((EXPIRES, b"3600"), (FILE, b"x")), expiry=False).message


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_bombs(data):
    """A body that is large where forms are small is refused before it costs anything."""
    assert 400 == refusal(data, size=65536).status


def test_size_limit(monkeypatch):
    """A file may have as many bytes as the limit, and not one more."""
    monkeypatch.setattr(_parser, "MAX_FILE_SIZE", 1000)
    assert 1000 == len(read(body((FILE, b"x" * 1000)), size=64)[1])
    assert 413 == refusal(body((FILE, b"x" * 1001)), size=64).status


@pytest.mark.parametrize("content_type", [
    "", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=B",
    "multipart/form-data; boundary=" + "b" * 71, 'multipart/form-data; boundary="B "',
    "multipart/form-data; boundary=ü",
    "multipart/form-data; boundary=B; boundary=C", "multipart/form-data;" + ";" * 60_000])  # fmt: skip
def test_content_types(content_type):
    """A request that is no form, or names no sane boundary, is refused with 400."""
    assert 400 == refusal(body((FILE, b"x")), content_type=content_type).status


def test_quoted_boundary():
    """A boundary may be quoted, and the header's words written in capitals."""
    assert b"x" == read(body((FILE, b"x")), content_type='Multipart/Form-Data; Boundary="B"')[1]
