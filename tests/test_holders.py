"""Which names of a notebook hold which file id."""

from __future__ import annotations

import pytest

from nbfiles._holders import holders, notebook_names
from nbfiles._models import FileId

ONE, TWO = FileId("file_one"), FileId("file_two")
TYPED = "file_011CNha8iCJcU1wXNR6q4V8w"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"a": ONE}, {"file_one": ("a",)}),
        ({"b": ONE, "a": ONE}, {"file_one": ("b", "a")}),
        ({"ids": [ONE, TWO], "a": TWO}, {"file_two": ("a", "ids[1]"), "file_one": ("ids[0]",)}),
        ({"pair": (ONE, TWO)}, {"file_one": ("pair[0]",), "file_two": ("pair[1]",)}),
        ({"by": {"north": ONE, 2: TWO}}, {"file_one": ("by['north']",), "file_two": ("by[2]",)}),
        ({"typed": TYPED, "list": [TYPED]}, {TYPED: ("typed", "list[0]")}),
        ({"mixed": [ONE, None, 3]}, {"file_one": ("mixed[0]",)}),
        ({"_": ONE, "_3": ONE, "Out": {3: ONE}, "In": ["x"]}, {}),
        ({"path": "file_011CNha8.csv", "word": "file_name", "numbers": [1, ONE], "deep": [[ONE]], "none": []}, {}),
        ({"bytes": b"file_011CNha8iCJcU1wXNR6q4V8w", "generator": iter([ONE]), "set": {ONE}}, {}),
    ],
)
def test_who_holds_an_id(names, expected) -> None:
    """Plain names come first, then places in lists, tuples and dicts; IPython's own names and paths do not count."""
    assert expected == holders(names)


def test_without_a_notebook_nobody_holds_anything() -> None:
    """Where no notebook is, there are no names."""
    assert {} == notebook_names()


def test_a_list_of_something_else_is_not_walked() -> None:
    """A list whose first item is no id is left alone, however long it is."""

    class Untouched(list):
        def __iter__(self):
            raise AssertionError("walked")

    assert {} == holders({"rows": Untouched([1, 2]), "long": [0] * 1_000_000, "longer": [ONE] * 200_000})
