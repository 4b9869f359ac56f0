"""Random frames of every dtype through CSV: the bytes of one call of to_csv, whatever the chunks and the way."""

import csv
import datetime as dt
import io
import os

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from nbfiles import sources
from nbfiles._errors import LossError
from nbfiles.sources import Request

TRIALS = 3000 if os.environ.get("NBFILES_TRIALS") == "full" else 300
RANDOM = settings(
    max_examples=TRIALS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEXT = st.text(st.sampled_from("ab,;\t|\"'\r\n \x00é✓𝄞"), max_size=6) | st.sampled_from(
    ["", "NA", "nan", "NaN", "None", "null", "<NA>", "NaT", "inf", "007", "1e5", "True", "=1+1", " x ", "\r\n", '""']
)  # fmt: skip
PLAIN = st.sampled_from(["x", "yy", "z z"])
FLOATS = (
    st.floats()
    | st.integers(-(10**17), 10**17).map(float)
    | st.integers(-(10**14), 10**14).map(lambda n: n / 10**4)
    | st.integers(-2000, 2000).map(lambda n: n / 100)
    | st.sampled_from([0.0, -0.0, 1e-5, 1e-4, 1e10, 1e15, 1e16, 1e17, 2.0**53, 5e-324, np.inf, -np.inf, np.nan])
)
SINGLES = st.floats(width=32) | st.integers(-(10**7), 10**7).map(lambda n: float(np.float32(n)))
HALVES = st.floats(width=16)
DAY = dt.datetime(2000, 1, 1)
DAYS = st.integers(-360_000, 2_000_000).map(lambda days: DAY + dt.timedelta(days=days))
NEAR_DAYS = st.integers(-80_000, 80_000).map(lambda days: DAY + dt.timedelta(days=days))
SECONDS = st.integers(-(10**9), 10**9).map(lambda seconds: DAY + dt.timedelta(seconds=seconds))
MILLIS = st.integers(-(10**12), 10**12).map(lambda millis: DAY + dt.timedelta(milliseconds=millis))
MICROS = st.integers(-(10**15), 10**15).map(lambda micros: DAY + dt.timedelta(microseconds=micros))
NANOS = st.integers(-(10**18), 10**18).map(lambda nanos: pd.Timestamp(DAY) + pd.Timedelta(nanos, "ns"))
SPANS = st.integers(-(10**17), 10**17).map(lambda nanos: pd.Timedelta(nanos, "ns"))
WHOLE_SPANS = st.integers(-1000, 1000).map(lambda days: pd.Timedelta(days, "D"))
ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Amsterdam"]
MISSING = st.sampled_from([None, np.nan, pd.NA])


def column(values, dtype):
    """A strategy for columns of so many `values` with the dtype."""
    return lambda size: st.lists(values, min_size=size, max_size=size).map(lambda found: pd.Series(found, dtype=dtype))


def whole(dtype):
    """A strategy for whole numbers of a NumPy dtype: anything it holds, or small ones only."""
    limits = np.iinfo(dtype)
    return [column(st.integers(limits.min, limits.max), dtype), column(st.integers(max(limits.min, -3), 100), dtype)]


def category(values):
    """A strategy for categoricals of `values`, some of them missing and some categories unused."""

    @st.composite
    def made(draw, size):
        categories = draw(st.lists(values, min_size=1, max_size=4, unique=True))
        codes = draw(st.lists(st.integers(-1, len(categories) - 1), min_size=size, max_size=size))
        return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(categories)))

    return made


def in_units(values, *units):
    """Strategies for times of every unit."""
    return [column(values | st.none(), f"datetime64[{unit}]") for unit in units]


def zoned(values, unit):
    """A strategy for times with a zone."""

    @st.composite
    def made(draw, size):
        zone = draw(st.sampled_from(ZONES))
        found = draw(st.lists(values | st.none(), min_size=size, max_size=size))
        return pd.Series(pd.Series(found, dtype=f"datetime64[{unit}]").dt.tz_localize("UTC").dt.tz_convert(zone))

    return made


def arrow(values, kind):
    """A strategy for columns that Arrow keeps."""
    return column(values | st.none(), pd.ArrowDtype(kind))


COLUMNS = [
    *(each for bits in (8, 16, 32, 64) for sign in ("int", "uint") for each in whole(f"{sign}{bits}")),
    column(st.integers(-(2**63), 2**63 - 1) | st.none(), "Int64"),
    column(st.integers(0, 9) | st.none(), "UInt8"),
    column(FLOATS, "float64"),
    column(SINGLES, "float32"),
    column(HALVES, "float16"),
    column(FLOATS.filter(np.isfinite) | st.none(), "Float64"),
    column(SINGLES.filter(np.isfinite) | st.none(), "Float32"),
    column(st.booleans(), "bool"),
    column(st.booleans() | st.none(), "boolean"),
    column(st.booleans() | MISSING, "object"),
    column(TEXT, "str"),
    column(TEXT | st.none(), "string"),
    column(TEXT | st.none(), "string[pyarrow]"),
    column(TEXT | st.none(), "string[python]"),
    column(PLAIN | MISSING, "object"),
    column(TEXT | MISSING, "object"),
    column(MISSING, "object"),
    column(TEXT | st.integers() | st.floats() | st.booleans() | MISSING | st.dates(), "object"),
    column(st.lists(TEXT, max_size=2) | st.none(), "object"),
    column(st.decimals(-1000, 1000, places=3, allow_nan=False) | st.none(), "object"),
    column(st.dates() | st.none(), "object"),
    *in_units(NEAR_DAYS, "s", "ms", "us", "ns"),
    *in_units(DAYS, "s", "us"),
    *in_units(SECONDS, "s", "ms", "us", "ns"),
    *in_units(NEAR_DAYS | MILLIS, "ms", "us", "ns"),
    *in_units(NEAR_DAYS | MICROS, "us", "ns"),
    *in_units(NEAR_DAYS | NANOS, "ns"),
    zoned(SECONDS, "s"),
    zoned(NEAR_DAYS | MILLIS, "ms"),
    zoned(NEAR_DAYS | MICROS, "us"),
    zoned(NEAR_DAYS | NANOS, "ns"),
    column(SPANS | st.none(), "timedelta64[ns]"),
    column(WHOLE_SPANS | st.none(), "timedelta64[s]"),
    category(TEXT),
    category(st.integers()),
    category(FLOATS.filter(np.isfinite)),
    category(st.booleans()),
    category(NEAR_DAYS | MICROS),
    category(WHOLE_SPANS),
    category(st.dates()),
    arrow(st.integers(-(2**63), 2**63 - 1), pa.int64()),
    arrow(FLOATS, pa.float64()),
    arrow(st.booleans(), pa.bool_()),
    arrow(TEXT, pa.string()),
    arrow(TEXT, pa.large_string()),
    arrow(MICROS, pa.timestamp("us")),
    arrow(st.dates(), pa.date32()),
    arrow(st.decimals(-99, 99, places=2, allow_nan=False), pa.decimal128(5, 2)),
    lambda size: st.just(pd.Series(pd.arrays.SparseArray([0.0, 1.5] * size)[:size])),
    lambda size: st.just(pd.Series(pd.period_range("2020", periods=size, freq="M"))),
    lambda size: st.just(pd.Series(pd.interval_range(0, size))),
    lambda size: st.just(pd.Series(np.arange(size) * 1j)),
]
KEYS = TEXT.filter(lambda text: "\0" not in text)  # pandas cuts it off the end of a level with missing values
LEVELS = [
    column(st.integers(-5, 5), "int64"),
    column(FLOATS, "float64"),
    column(KEYS | st.none(), "object"),
    column(NEAR_DAYS | SECONDS, "datetime64[ns]"),
    column(NEAR_DAYS, "datetime64[ns]"),
    column(SPANS, "timedelta64[ns]"),
    category(KEYS),
    zoned(MICROS, "us"),
]
NAMES = TEXT.filter(bool) | st.integers(0, 9) | st.dates()
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "sep": st.sampled_from([";", "\t", "|", " ", "."]),
        "na_rep": st.sampled_from(["NULL", "a,b", '"', "-"]),
        "header": st.just(False),
        "lineterminator": st.sampled_from(["\r\n", "\n"]),
        "quoting": st.sampled_from([0, 1, 2]),
        "float_format": st.just("%.3f"),
        "date_format": st.just("%d.%m.%Y"),
        "decimal": st.just(","),
    },
)


@st.composite
def frames(draw, *, columns=COLUMNS, most=4):
    """A frame of up to `most` columns of any dtype, with any kind of index."""
    size = draw(st.integers(0, 9))
    names = draw(st.lists(NAMES, max_size=most, unique_by=str))
    made = [draw(draw(st.sampled_from(columns))(size)) for _ in names]
    frame = pd.concat(made, axis=1) if made else pd.DataFrame(index=range(size))
    frame.columns = pd.Index(names, dtype=object)
    levels = draw(st.sampled_from([0, 0, 0, 1, 2]))
    found = [pd.Index(draw(draw(st.sampled_from(LEVELS))(size)), name=f"level {number}") for number in range(levels)]
    if found:
        frame.index = found[0] if levels == 1 else pd.MultiIndex.from_arrays(found)
    return frame


def written(frame, in_chunks, ways, options=()):
    """Return what arrives, which must be the same in all of the `ways`; None if the frame is refused."""
    arrived = []
    for way in ways:
        with in_chunks(**way):
            try:
                with sources.payloads(frame, Request(opt=tuple(options))) as made:
                    arrived.append(b"".join(made.items[0].chunks()))
            except LossError:
                arrived.append(None)
    assert arrived[:1] * len(arrived) == arrived
    return arrived[0]


def fed(value):
    """Return a text with a line feed for each carriage return, which to_csv quotes as we quote the other."""
    return value.replace("\r", "\n") if isinstance(value, str) else value


def with_line_feeds(frame):
    """Return `frame` with a line feed for each carriage return in its texts, its index and its names."""
    frame = frame.copy()
    for number in range(len(frame.columns)):
        if has_carriage(frame.iloc[:, number]):
            frame.isetitem(number, frame.iloc[:, number].astype(object).map(fed, na_action="ignore").array)
    frame.columns = pd.Index([fed(name) for name in frame.columns], dtype=object)
    levels = [frame.index.get_level_values(number) for number in range(frame.index.nlevels)]
    levels = [level.astype(object).map(fed) if has_carriage(level) else level for level in levels]
    names = frame.index.names
    frame.index = levels[0].rename(names[0]) if len(levels) == 1 else pd.MultiIndex.from_arrays(levels, names=names)
    return frame


def has_carriage(values):
    return any(isinstance(value, str) and "\r" in value for value in values)


WAYS = [
    {"cells": 10**6},
    {"cells": 1, "step": 2, "few": 0},
    {"cells": 5, "step": 3, "few": 1},
    {"cells": 7, "few_rows": 10**6},
]


def expected_of(frame, options=None):
    """Return what one call of to_csv writes."""
    options = {"lineterminator": "\n", "index": not isinstance(frame.index, pd.RangeIndex), **(options or {})}
    return frame.to_csv(**options)


@RANDOM
@given(frames())
def test_same_bytes(in_chunks, frame):
    """Every frame is the bytes of one to_csv, whatever the chunks; a carriage return is quoted like a line feed."""
    content = written(frame, in_chunks, WAYS)
    if content is None:
        event("refused: no columns, or a name twice")
        assert not len(frame.columns) or not frame.columns.map(str).is_unique
        return
    text, by_pandas = content.decode(), expected_of(frame)
    if "\r" not in by_pandas:
        event("equal to to_csv")
        assert by_pandas == text
        return
    event("a carriage return, which to_csv may leave bare")
    assert expected_of(with_line_feeds(frame)) == text.replace("\r", "\n")
    # A line of nothing but a tab is a row, of to_csv's making, that read_csv passes over unless it is told not to.
    rules = {"dtype": str, "keep_default_na": False, "lineterminator": "\n", "skip_blank_lines": False}
    back = pd.read_csv(io.StringIO(text, newline=""), **rules)
    assert len(frame) == len(back)


@RANDOM
@given(frames(most=3), OPTIONS)
def test_same_bytes_with_options(in_chunks, frame, options):
    """Options of to_csv change the bytes as they change those of to_csv, whatever the chunks and the way."""
    frame = with_line_feeds(frame)
    content = written(frame, in_chunks, WAYS, options.items())
    if content is not None:
        assert expected_of(frame, options) == content.decode()


@RANDOM
@given(st.sampled_from(COLUMNS).flatmap(lambda made: made(7)), st.integers(0, 7))
def test_one_column(in_chunks, column, rows):
    """A column alone loses no row to a reader: what is missing or empty in it is no empty line."""
    frame = with_line_feeds(pd.DataFrame({"a": column}).iloc[:rows])
    text = written(frame, in_chunks, WAYS).decode()
    assert expected_of(frame) == text
    assert 1 + rows == len(list(csv.reader(io.StringIO(text, newline=""), strict=True)))
    assert [] not in list(csv.reader(io.StringIO(text, newline=""), strict=True))
