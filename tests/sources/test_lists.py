"""Lists: many sources in the order given, all or nothing."""

import io
from types import MappingProxyType

import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import InputError, SourceError
from nbfiles.sources import Request, text


@pytest.mark.parametrize("form", [list, tuple])
def test_order(here, send_many, form):
    """Members arrive in the order given, each named after its place."""
    (here / "z.txt").write_text("z")
    members = form([b"1", "z.txt", pd.DataFrame({"a": [1]}), io.BytesIO(b"2"), text("3", name="t.md"), b"1"])
    arrived = send_many(members, label="xs")
    assert ["xs_0.txt", "z.txt", "xs_2.csv", "xs_3.txt", "t.md", "xs_5.txt"] == [each.name for each in arrived]
    assert [b"1", b"z", b"a\n1\n", b"2", b"3", b"1"] == [each.content for each in arrived]


def test_list_of_one(send_many):
    """A list of one binds a list."""
    assert 1 == len(send_many([b"1"]))


def test_glob_and_folder_inside(here, send_many):
    """A glob or folder in a list stands for its files at its place."""
    for name in ("2.csv", "1.csv", "d/4.txt", "d/3.txt"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(name)
    assert ["d/3.txt", "d/4.txt", "x", "1.csv", "2.csv"] == [
        each.content.decode() for each in send_many(["d", b"x", "*.csv"])
    ]


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ([], "xs is empty"),
        ((), "xs is empty"),
        ([b"1", [b"2"]], "is a list inside a list"),
        ([(b"1",)], "is a list inside a list"),
        ({b"1"}, "is a set, which has no order"),
        (frozenset(), "is a frozenset, which has no order"),
        ((part for part in [b"1"]), "is a generator, which has no order"),
        (iter([b"1"]), "list_iterator, which has no order"),
        (map(bytes, []), "is a map, which has no order"),
        ({"a": 1}.values(), "dict_values, which has no order"),
        (MappingProxyType({"a": b"1"}), "is a mappingproxy, and only a dict"),
        ([b"1", 3], r"xs\[1\] is an int, which cannot be uploaded"),
    ],
)
def test_refused(obj, words):
    """What has no order, or no members, is refused with the reason."""
    with pytest.raises(SourceError, match=words):
        sources.payloads(obj, Request(label="xs"))


def test_name_for_a_list():
    """One name for a list is refused."""
    with pytest.raises(InputError, match="--name is for one file"):
        sources.payloads([b"1"], Request(name="a.txt"))


class Interrupting:
    """A source during whose making Ctrl-C arrives."""

    def read(self, size):
        raise KeyboardInterrupt


@pytest.mark.parametrize("last", ["no such file", 3, Interrupting()])
def test_all_or_nothing(spool, last):
    """When one member fails or Ctrl-C arrives, nothing of those before it stays on disk."""
    frame = pd.DataFrame({"a": [1]})
    with pytest.raises((SourceError, KeyboardInterrupt)):
        sources.payloads([frame, frame, last])
    assert [] == list(spool.iterdir())


def test_closing_removes_all(spool):
    """Temporary files live until the payloads are closed, and closing twice is fine."""
    made = sources.payloads([pd.DataFrame({"a": [1]})] * 3)
    assert 3 == len(list(spool.iterdir()))
    made.close()
    made.close()
    assert [] == list(spool.iterdir())
