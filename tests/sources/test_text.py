"""text(): a string that is a file's content and not a path."""

import pytest

from nbfiles import sources
from nbfiles._errors import InputError
from nbfiles.sources import text


def test_text(send):
    """A text arrives as UTF-8 under its name, or the variable's."""
    arrived = send(text("Grüße ✓\r\n", name="notes.md"))
    assert ("notes.md", "text/plain", "Grüße ✓\r\n".encode()) == (arrived.name, arrived.mime_type, arrived.content)
    assert "note.txt" == send(text("x"), label="note").name
    assert "b.md" == send(text("x", name="a.md"), name="b.md").name


def test_text_is_a_value():
    """Equal texts are equal and cannot be changed."""
    assert text("a", name="b") == text("a", name="b")
    with pytest.raises(AttributeError):
        text("a").content = "b"


def test_text_refuses():
    """What is no string, or cannot be UTF-8, is refused in words."""
    with pytest.raises(InputError, match="takes a string"):
        text(b"abc")
    with pytest.raises(InputError, match="half of a surrogate pair at 1"):
        sources.payloads(text("a\ud800"))
