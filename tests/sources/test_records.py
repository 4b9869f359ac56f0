"""Records: dicts, models and dataclasses, alone as one document and in a list as one file; equal or refused."""

import csv
import datetime as dt
import decimal
import io
import json
import math
import os
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request


@dataclass
class Point:
    """A dataclass that holds another."""

    x: float
    tags: list[str] = field(default_factory=list)
    inner: "Point | None" = None


class Model(pydantic.BaseModel):
    """A model with types that JSON has no word for, and a secret."""

    at: dt.datetime
    price: decimal.Decimal
    password: pydantic.SecretStr


MODEL = Model(at=dt.datetime(2020, 1, 2, 3), price="1.10", password="hunter2")
MODEL_JSON = {"at": "2020-01-02T03:00:00", "price": "1.10", "password": "**********"}
RECORDS = [{"a": 1, "b": "é"}, {"a": None, "c": [1.5, {"d": True}]}]


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"a": 1, "b": [None, "é"]}, {"a": 1, "b": [None, "é"]}),
        ({}, {}),
        ({1: (2, 3)}, {"1": [2, 3]}),
        ({"n": np.int64(3), "v": np.array([1.5, 2]), "t": pd.Timestamp("2020-01-01")},
         {"n": 3, "v": [1.5, 2.0], "t": "2020-01-01T00:00:00"}),
        (Point(0.1, ["x"], Point(2)), {"x": 0.1, "tags": ["x"], "inner": {"x": 2, "tags": [], "inner": None}}),
        (MODEL, MODEL_JSON),
        ({"m": [MODEL], "p": Point(1)}, {"m": [MODEL_JSON], "p": {"x": 1, "tags": [], "inner": None}}),
        (pydantic.RootModel[list[int]]([1, 2]), [1, 2]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_document(store, obj, expected, format_):
    """One record is one JSON document with everything that is in it; a model hides its secrets as it says."""
    arrived = store(obj, format=format_, for_="container")
    assert expected == json.loads(arrived.content)
    assert 1 == arrived.content.count(b"\n")
    assert (f"data.{format_}", f"application/{format_}") == (arrived.name, arrived.mime_type)


@pytest.mark.parametrize("form", [list, tuple])
def test_a_list_of_records(store, form):
    """A list of records is one file: an array as JSON, a line each as JSON lines."""
    assert RECORDS == json.loads(store(form(RECORDS)).content)
    lines = store(form(RECORDS), format="jsonl").content.decode().splitlines()
    assert RECORDS == [json.loads(line) for line in lines]
    assert RECORDS == json.loads(store(form(RECORDS), name="x.json", opt={"indent": 2}).content)
    assert [MODEL_JSON, MODEL_JSON] == json.loads(store(form([MODEL, MODEL])).content)
    assert [0.1, 2] == [record["x"] for record in json.loads(store(form([Point(0.1), Point(2)])).content)]


@pytest.mark.parametrize("format_", ["csv", "tsv", "parquet", "feather", "xlsx", "html", "md", "txt"])
def test_a_list_of_records_as_a_table(store, format_):
    """A list of records can be every format of a frame; whole numbers stay whole where a record lacks them."""
    records = [{"n": 2**53, "s": "x"}, {"s": "é"}]
    content = store(records, format=format_, name=f"x.{format_}").content
    if format_ == "csv":
        assert [{"n": str(2**53), "s": "x"}, {"n": "", "s": "é"}] == list(csv.DictReader(io.StringIO(content.decode())))
    elif format_ in {"parquet", "feather"}:
        back = getattr(pd, f"read_{format_}")(io.BytesIO(content), dtype_backend="numpy_nullable")
        assert (2**53, True) == (back["n"][0], back["n"].isna()[1])
        assert ["x", "é"] == back["s"].tolist()
    elif format_ == "xlsx":
        assert ["x", "é"] == pd.read_excel(io.BytesIO(content))["s"].tolist()
    else:
        assert str(2**53) in content.decode()
        assert "é" in content.decode()


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ({"a": math.inf}, "x: field a holds inf, which json has no form for"),
        ({"a": {"b": 2**60}}, "x: field a holds whole numbers beyond 2^53"),
        ({"a": {1}}, "x: field a holds a set, which json has no form for"),
        ({"a": b"1"}, "x: field a holds a bytes"),
        ({"a": pd.DataFrame({"b": [1]}), "c": 1}, "x: field a holds a pandas"),
        ({1: "a", "1": "b"}, "x: the record holds a dict with two keys that print alike"),
        (Point(math.inf), "x: field x holds inf"),
        ([{"a": 1}, {"a": -math.inf}], "x: field a holds inf"),
    ],
)
def test_refused(obj, words):
    """What JSON would lose is refused with the field's name."""
    with pytest.raises(LossError) as caught:
        sources.payloads(obj, Request(label="x"))
    assert caught.value.cause.startswith(words)
    assert isinstance(obj, list) is ("--format csv" in caught.value.way_out)


def test_lossy(send):
    """--lossy writes what there is a form for."""
    assert {"a": None, "b": "{1}", "c": 2**60} == json.loads(
        send({"a": math.inf, "b": {1}, "c": 2**60}, lossy=True).content
    )


def test_half_a_surrogate(send):
    """A text that UTF-8 cannot write is refused, and can be escaped."""
    with pytest.raises(LossError, match="x: a text holds half of a surrogate pair"):
        sources.payloads({"a": "\ud800"}, Request(label="x"))
    assert {"a": "\ud800"} == json.loads(send({"a": "\ud800"}, opt=(("ensure_ascii", True),)).content)


def test_a_record_that_holds_itself():
    """A dict without end is refused in one line."""
    loop = {}
    loop["me"] = loop
    with pytest.raises(InputError, match="x holds itself, or is too deep"):
        sources.payloads(loop, Request(label="x"))


def test_rows(send):
    """--sample and --max-rows choose records, in a table too."""
    records = [{"n": n} for n in range(100)]
    sample = send(records, sample=10)
    rows = json.loads(sample.content)
    assert (10, ("10 of 100 rows, at random",)) == (len(rows), sample.notes)
    assert [row["n"] for row in rows] == pd.read_csv(io.BytesIO(send(records, sample=10, format="csv").content))[
        "n"
    ].tolist()
    assert [{"n": 0}, {"n": 1}] == json.loads(send(records, max_rows=2).content)
    with pytest.raises(InputError, match="no row is left"):
        sources.payloads(records, Request(max_rows=0))


@pytest.mark.parametrize(
    "members",
    [
        [{"a": 1}, b"bytes"],
        [sources.text("a", name="a.txt"), sources.text("b", name="b.txt")],
        [{"one": pd.DataFrame({"a": [1]})}, {"two": pd.DataFrame({"a": [1]})}],
        [{"a": 1}, pd.DataFrame({"a": [1]})],
    ],
)
def test_a_list_with_other_things_is_many_files(send_many, members):
    """A list is one file only if every member is a record; else each is a file of its own."""
    assert 2 == len(send_many(members))


@pytest.mark.parametrize(
    ("obj", "request_", "words"),
    [
        ({"a": 1}, {"format": "csv"}, "there is no format csv for a record"),
        ({"a": 1}, {"name": "a.png"}, "a record cannot be written as a.png"),
        ([{"a": 1}], {"format": "nix"}, "there is no format nix for records"),
        ({"a": 1}, {"opt": (("sep", ";"),)}, "json has no option sep"),
    ],
)
def test_refused_requests(obj, request_, words):
    """What a record cannot become is refused before it is encoded."""
    with pytest.raises(InputError, match=words):
        sources.payloads(obj, Request(**request_))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = st.text(st.characters(codec="utf-8"), max_size=4)


@settings(
    max_examples=3000 if os.environ.get("NBFILES_TRIALS") == "full" else 300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=4))
def test_random(records):
    """Any records come back from JSON and JSON lines as they were."""
    made = [sources.payloads(records, Request(format=format_)) for format_ in ("json", "jsonl")]
    array, lines = (b"".join(each.items[0].chunks()) for each in made)
    for each in made:
        each.close()
    assert records == json.loads(array)
    assert records == [json.loads(line) for line in lines.split(b"\n")[:-1]]
