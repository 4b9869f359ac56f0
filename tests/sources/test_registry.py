"""The registry: who is asked, in which order, and what an unknown object hears."""

import sys
from types import SimpleNamespace

import pytest

from nbfiles import sources
from nbfiles._errors import InputError, SourceError
from nbfiles._payload import Payloads, bytes_payload


class Answer:
    """A kind that takes plain numbers."""

    def __init__(self, content):
        self.content = content

    def matches(self, obj):
        return isinstance(obj, int)

    def payloads(self, obj, request):
        return Payloads([bytes_payload(self.content, name="n.txt", source="n")], many=False)


def test_later_first(send):
    """A kind that is registered later is asked before those that are there already."""
    first, second = Answer(b"first"), Answer(b"second")
    sources.register(first)
    sources.register(second)
    try:
        assert b"second" == send(1).content
        sources.unregister(second)
        assert b"first" == send(1).content
    finally:
        sources.unregister(first)
        sources.unregister(second)


def test_unregister_twice():
    """Taking out a kind that is not there does nothing."""
    sources.unregister(Answer(b""))
    with pytest.raises(SourceError):
        sources.payloads(1)


@pytest.mark.parametrize(
    ("obj", "called"),
    [
        (3, "x is an int"),
        (None, "x is None"),
        (object, "x is a type"),
        (print, "x is a builtin_function_or_method"),
        (SimpleNamespace(), "x is a types.SimpleNamespace"),
        (sys, "x is a module"),
    ],
)
def test_unknown(obj, called):
    """An object that cannot be uploaded is named with its type, and what can be uploaded is said."""
    with pytest.raises(SourceError) as caught:
        sources.payloads(obj, sources.Request(label="x"))
    assert f"{called}, which cannot be uploaded" == caught.value.cause
    assert "a DataFrame or Series" in caught.value.way_out


def test_label_is_shown_safely():
    """A long label with hidden characters is cut and made visible in a message."""
    with pytest.raises(SourceError) as caught:
        sources.payloads(3, sources.Request(label="\u202e" + "x" * 500))
    assert caught.value.cause.startswith("<U+202E>xxx")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "request_", [{"for_": "dokument"}, {"max_rows": -1}, {"sample": 1.5}, {"max_rows": True}, {"sample": "3"}]
)
def test_request_is_checked(request_):
    """A request that cannot be fulfilled for any source is refused when it is made."""
    with pytest.raises(InputError):
        sources.Request(**request_)


def test_face():
    """The face names nothing twice, and all of it is there; its order is the linter's."""
    assert len(set(sources.__all__)) == len(sources.__all__)
    assert [] == [name for name in sources.__all__ if not hasattr(sources, name)]
