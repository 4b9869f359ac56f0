"""NumPy arrays: every dtype and shape back from .npy and .npz, tables where they are one."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request

STRUCTURED = np.array([(1, 2.5, "é"), (3, -0.0, "")], dtype=[("n", "i4"), ("x", "f8"), ("s", "U3")])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.array(3.5),
        np.zeros((0, 3), dtype="f4"),
        np.array(["2020-01-01", "NaT"], dtype="M8[ns]"),
        np.array([1 + 2j]),
        np.array([2**64 - 1], dtype=">u8"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        STRUCTURED,
    ],
    ids=str,
)
def test_npy(store, array):
    """An array is stored as .npy, which gives back its values, dtype and shape without pickle."""
    arrived = store(array)
    back = np.load(io.BytesIO(arrived.content), allow_pickle=False)
    np.testing.assert_array_equal(array, back)
    assert (array.dtype, array.shape, "data.npy") == (back.dtype, back.shape, arrived.name)
    packed = np.load(io.BytesIO(store(array, format="npz").content), allow_pickle=False)
    np.testing.assert_array_equal(array, packed["arr_0"])


@pytest.mark.parametrize("compressed", [True, False])
def test_npz(store, compressed):
    """A dict of arrays is one .npz."""
    arrays = {"weights": np.arange(4.0), "file": np.array([True])}
    arrived = store(arrays, opt={"compressed": compressed})
    back = np.load(io.BytesIO(arrived.content), allow_pickle=False)
    assert ("data.npz", ["file", "weights"]) == (arrived.name, sorted(back))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, back[name])
    assert arrived.content == store(arrays, opt={"compressed": compressed}).content


@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "jsonl", "parquet", "feather", "xlsx", "html", "md", "txt"])
@pytest.mark.parametrize(
    ("array", "frame"),
    [
        (np.array([3, 1]), pd.DataFrame({"a": [3, 1]})),
        (np.array([[1.5, 2], [3, 4]]), pd.DataFrame([[1.5, 2.0], [3, 4.0]])),
        (STRUCTURED, pd.DataFrame(STRUCTURED)),
    ],
    ids=["1", "2", "structured"],
)
def test_tables(send, array, frame, format_):
    """An array of one or two dimensions can be every format of a frame, as the frame of it would be."""
    expected, arrived = (send(obj, label="a", format=format_) for obj in (frame, array))
    if format_ == "xlsx":
        pd.testing.assert_frame_equal(*(pd.read_excel(io.BytesIO(each.content)) for each in (expected, arrived)))
    else:
        assert expected.content == arrived.content


@pytest.mark.parametrize(
    ("array", "request_", "words"),
    [
        (np.array([object()]), {}, "a: the array holds Python objects, which npy could only pickle"),
        (np.ma.array([1, 2], mask=[0, 1]), {}, "a: the array holds a mask, which npy would drop"),
        ({"x": np.array([None])}, {}, "a: array x holds Python objects, which npz could only pickle"),
        (np.array([np.inf]), {"format": "json"}, "a: column a holds inf"),
    ],
)
def test_refused(array, request_, words):
    """What would be pickled or dropped is refused, with a format that can."""
    with pytest.raises(LossError) as caught:
        sources.payloads(array, Request(label="a", **request_))
    assert words in caught.value.cause
    assert "--format csv" in caught.value.way_out


def test_a_mask_as_a_table(send):
    """What is masked is missing in a table."""
    assert b'a\n1.0\n""\n' == send(np.ma.array([1, 2], mask=[0, 1]), label="a", format="csv").content


@pytest.mark.parametrize("array", [np.zeros((2, 2, 2)), np.array(1)], ids=["3", "0"])
def test_no_table(array):
    """An array of no or more than two dimensions is no table, and the error says what it can be."""
    with pytest.raises(InputError, match=r"there is no format csv for an array\. It is one of npy, npz"):
        sources.payloads(array, Request(format="csv"))


def test_rows(send):
    """--sample and --max-rows choose along the first dimension, the same ones as of a frame."""
    array = np.arange(200).reshape(100, 2)
    sample = send(array, sample=10)
    table = pd.read_csv(io.BytesIO(send(pd.DataFrame(array), sample=10).content))
    np.testing.assert_array_equal(table.to_numpy(), np.load(io.BytesIO(sample.content)))
    assert ("10 of 100 rows, at random",) == sample.notes
    assert [[0, 1]] == np.load(io.BytesIO(send(array, max_rows=1).content)).tolist()


@settings(max_examples=1000 if os.environ.get("NBFILES_TRIALS") == "full" else 100, deadline=None)
@given(
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=4), hnp.byte_string_dtypes(max_len=4)),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
)
def test_random(array):
    """Any array of plain values comes back with its bytes, dtype and shape."""
    with sources.payloads(array) as made:
        back = np.load(io.BytesIO(b"".join(made.items[0].chunks())), allow_pickle=False)
    assert (array.dtype, array.shape, array.tobytes()) == (back.dtype, back.shape, back.tobytes())
