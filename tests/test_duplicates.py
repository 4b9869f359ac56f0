"""Files that are stored more than once: what makes them equal, and which of them stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbfiles._duplicates import duplicates
from nbfiles._models import FileMetadata

NOW = datetime(2026, 11, 23, 9, 41, 7, tzinfo=UTC)


def file(name: str, number: int, size: int = 10, mime_type: str = "text/plain", **fields) -> FileMetadata:
    """Return a file; the lower its number, the newer."""
    created = NOW - timedelta(hours=number)
    return FileMetadata(f"f{number}", "file", name, mime_type, size, created, **fields)


def found(files, digests=None, held=()):
    """Return the ids of each group: kept, equal, alike."""
    return [
        tuple([each.id for each in some] for some in (group.kept, group.equal, group.alike))
        for group in duplicates(files, digests or {}, set(held), NOW)
    ]


TWO = [file("a.csv", 1), file("b.csv", 2)]
SAME = [file("a.csv", 1), file("a.csv", 2), file("a.csv", 3)]


@pytest.mark.parametrize(
    ("files", "digests", "held", "expected"),
    [
        pytest.param(TWO, {"f1": "d", "f2": "d"}, "", [(["f1"], ["f2"], [])], id="one digest under two names"),
        pytest.param(TWO, {"f1": "d", "f2": "e"}, "", [], id="two digests"),
        pytest.param(SAME, {}, "", [(["f1"], [], ["f2", "f3"])], id="one look, and no digest"),
        pytest.param(SAME, {"f2": "d"}, "", [(["f1", "f2"], [], ["f3"])], id="one of a look is known"),
        pytest.param(SAME, {"f1": "d", "f2": "e"}, "", [], id="the look says nothing where contents differ"),
        pytest.param(SAME, dict.fromkeys(("f1", "f2", "f3"), "d"), ["f3"], [(["f3"], ["f1", "f2"], [])],
                     id="a variable holds the oldest"),
        pytest.param(SAME, dict.fromkeys(("f1", "f2", "f3"), "d"), ["f2", "f3"], [(["f2", "f3"], ["f1"], [])],
                     id="variables hold two"),
        pytest.param([file("a", 1, 3), file("a", 2, 4)], {}, "", [], id="two sizes"),
        pytest.param([file("a", 1), file("a", 2, mime_type="text/csv")], {"f1": "d", "f2": "d"}, "", [],
                     id="two types, of which each may be needed"),
        pytest.param([file("a", 1), file("a", 2, expires_at=NOW)], {"f1": "d", "f2": "d"}, "", [],
                     id="one that has expired takes no room"),
        pytest.param([file("\u00e9", 1), file("e\u0301", 2)], {}, "", [(["f1"], [], ["f2"])], id="composed or not"),
        pytest.param([file("x", 1), file("y", 2), file("x", 3), file("y", 4)], {"f1": "d", "f2": "d"}, "",
                     [(["f1"], ["f2"], ["f3", "f4"])], id="two looks of one content"),
    ],
)  # fmt: skip
def test_what_is_a_duplicate(files, digests, held, expected) -> None:
    """Equal digests are equal files; of others name, type and size make them alike; a held or the newest one stays."""
    assert expected == found(files, digests, held)


def test_the_largest_waste_comes_first() -> None:
    """Groups are ordered by the bytes that would be freed."""
    files = [file("s", 1, 5), file("s", 2, 5), file("l", 3, 50), file("l", 4, 50)]
    assert [["f3"], ["f1"]] == [kept for kept, _, _ in found(files)]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2]), st.sampled_from(["", "d", "e"])), max_size=12),
    st.sets(st.integers(0, 11)),
)
def test_of_every_content_one_stays(rows, held) -> None:
    """No file is in two groups, no held file goes, and what goes for certain has an equal one that stays."""
    files = [file(name, number, size) for number, (name, size, _) in enumerate(rows)]
    digests = {f"f{number}": digest for number, (_, _, digest) in enumerate(rows) if digest}
    kept_ids = {f"f{number}" for number in held}
    groups = found(files, digests, kept_ids)
    every = [one for group in groups for some in group for one in some]
    assert len(set(every)) == len(every)
    for kept, equal, alike in groups:
        assert not kept_ids & {*equal, *alike}
        assert kept
        assert {digests[one] for one in equal} <= {digests.get(one) for one in kept}
        assert {""} | {digests.get(one, "") for one in alike} == {""}
