"""What a file takes of a context, and what it cannot be used for: told from its header before anything is sent."""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image
from shells import fresh_shell

import nbfiles
from nbfiles import _fit
from nbfiles._fit import Fit, fit, fits, image_size
from nbfiles._payload import Payload, bytes_payload, file_payload

DATA = Path(__file__).parents[1] / "notebooks/data"
mpl.use("agg")


def picture(format_, size, **options):
    file = io.BytesIO()
    Image.new(options.pop("mode", "RGB"), size).save(file, format=format_, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "exif": b"Exif\0\0" + b"x" * 60_000}),
        ("WEBP", {"lossless": False}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"mode": "RGBA", "lossless": False, "exif": b"Exif\0\0x"}),
    ],
)
@settings(max_examples=15, deadline=None)
@given(size=st.tuples(st.integers(1, 3000), st.integers(1, 40)))
def test_size_of_an_image(format_, options, size):
    """The header of each format that Claude takes gives width and height."""
    assert size == image_size(io.BytesIO(picture(format_, size, **options)))
    assert size[::-1] == image_size(io.BytesIO(picture(format_, size[::-1], **options)))


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBPVP8 ", b"\xff\xd8\xff"]),
)
def test_rubbish_has_no_size(rest, start):
    """Whatever the bytes, the answer is a size or None."""
    found = image_size(io.BytesIO(start + rest))
    assert found is None or all(side >= 0 for side in found)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((1000, 1000), 1333), ((200, 200), 53), ((1, 1), 1), ((1568, 100), 209), ((8000, 8000), 1600), ((3136, 200), 209)],
)
def test_tokens_of_an_image(size, tokens):
    """An image takes width x height / 750 tokens after it was scaled down, and 1,600 at most."""
    payload = bytes_payload(picture("PNG", size), name="a.png", source="a")
    assert Fit(tokens) == fit(payload)


def test_a_large_image():
    """An image that the API would refuse is warned of, unless it is for the container."""
    payload = bytes_payload(picture("PNG", (8001, 2)), name="a.png", source="a")
    assert Fit(None, ("a.png is 8,001 x 2 pixels, and as an image Claude takes 8,000 on a side",)) == fit(payload)
    assert Fit() == fit(payload, "container")


def test_tokens_of_a_text():
    """A text takes a token for 3.5 bytes; one that fills a context is warned of where it is meant to be read."""
    payload = bytes_payload(b"x" * 700, name="a.txt", source="a")
    assert Fit(200) == fit(payload)
    long = bytes_payload(b"x" * 700_004, name="a.csv", source="a")
    assert () == fit(long).warnings
    assert ("a.csv has about 200,001 tokens, more than the 200,000 of a model's smallest context window",) == fit(
        long, "document"
    ).warnings


def pdf(pages):
    """A PDF of so many pages, by matplotlib."""
    file = io.BytesIO()
    with PdfPages(file) as book:
        for _ in range(pages):
            book.savefig(Figure(figsize=(1, 1)))
    return file.getvalue()


def packed(pages):
    """A PDF whose page tree is in a compressed object stream."""
    inside = b"1 0 2 60 <</Type/Catalog/Pages 2 0 R>> <</Type /Pages /Kids [3 0 R] /Count %d>>" % pages
    stream = zlib.compress(inside)
    return b"%%PDF-1.5\n5 0 obj <</Type /ObjStm /N 2 /First 9 /Length %d>>\nstream\r\n%s\nendstream endobj" % (
        len(stream), stream
    )  # fmt: skip


TREE = b"%PDF-1.4\n<</Count 7 /Type /Pages /Kids [1 0 R]>> <</Type /Pages /Count 90 /Parent 1 0 R>> <</Type /Pages>>"


@pytest.mark.parametrize(
    ("content", "pages"),
    [
        (pdf(1), 1),
        (pdf(3), 3),
        (packed(70), 70),
        (TREE, 90),
        (b"%PDF-1.4 <</Linearized 1 /L 5 /N 12 /O 3>> <</Type /Pages /Count 5>>", 12),
        (b"%PDF-1.4 <</Type /Page>> <</Type /Page /Parent 1 0 R>>", 2),
        ((DATA / "huckleberry-finn-page-29.pdf").read_bytes(), 1),
    ],
    ids=["one", "three", "packed", "tree", "linear", "without a tree", "real"],
)
def test_pages(content, pages):
    """The pages of a PDF are found in its page tree, compressed or not, and take 3,000 tokens each."""
    assert Fit(pages * 3000) == fit(bytes_payload(content, name="a.pdf", source="a"))


def test_pages_of_a_large_file(tmp_path, monkeypatch):
    """Of a large PDF the start and the end are looked at, not what is between."""
    monkeypatch.setattr(_fit, "_SCAN", 4096)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4" + b" " * 10_000 + b"<</Type /Pages /Count 40>>" + b" " * 100)
    assert Fit(120_000) == fit(file_payload(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed(601), "a.pdf has about 601 pages, and a request takes 600 (100 where the context is under 1M tokens)"),
        (packed(101), "a.pdf has about 101 pages, and models with a context under 1M tokens take 100"),
        (b"%PDF-1.4 trailer <</Encrypt 5 0 R>>", "a.pdf is encrypted, and Claude takes PDFs without a password only"),
    ],
)
def test_a_pdf_that_will_not_do(content, words):
    """A PDF that the API would refuse is warned of."""
    assert (words,) == fit(bytes_payload(content, name="a.pdf", source="a")).warnings


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_rubbish_has_no_pages(rest):
    """A PDF that is none, or broken, gives no estimate and no error."""
    found = fit(bytes_payload(b"%PDF-1.5 " + rest, name="a.pdf", source="a"))
    assert (None, ()) == (found.tokens, found.warnings)
    broken = fit(bytes_payload(packed(3)[: 40 + len(rest)], name="a.pdf", source="a"))
    assert () == broken.warnings


def test_what_lies_elsewhere_is_not_opened():
    """Only a file on this machine is opened for an estimate, and of many only the first."""

    def fail():
        raise AssertionError("it was opened")

    elsewhere = Payload("a.png", "image/png", 5, fail, "https://example.org/a.png")
    assert Fit() == fit(elsewhere)
    near = Payload("a.png", "image/png", 5, fail, "a", digest="blake3:0")
    many = [bytes_payload(picture("PNG", (10, 10)), name="a.png", source="a")] * _fit.LOOKS
    assert [Fit(1)] * 3 + [Fit()] == fits([*many, near])[-4:]


def test_python_warns_before_sending(shared_api):
    """upload warns of a file that cannot be used as asked before it sends it."""
    files = nbfiles.Files(api_key=shared_api.api_key, base_url=shared_api.base_url)
    seen = []
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: seen.append((str(message), len(shared_api.stored_ids())))
        warnings.simplefilter("always")
        before = len(shared_api.stored_ids())
        files.upload(picture("PNG", (8001, 1)), name="wide.png", progress=False)
    assert [("wide.png is 8,001 x 1 pixels, and as an image Claude takes 8,000 on a side", before)] == seen
    assert before + 1 == len(shared_api.stored_ids())


def test_the_magic_warns_and_plans(shared_api, monkeypatch, tmp_path):
    """%upload shows the warning, and --dry-run the estimate with its rule."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", shared_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", shared_api.api_key)
    with fresh_shell(tmp_path / "ipython") as shell:
        shell.names["wide"] = picture("PNG", (8001, 1))
        shell.names["d"] = {"a": "x" * 3500}
        words = "wide.png is 8,001 x 1 pixels, and as an image Claude takes 8,000 on a side"
        ran = shell.run("%upload wide as wide_id")
        assert None is ran.error
        assert ran.printed.index(words) < ran.printed.index("stored on" if "stored on" in ran.printed else "uploaded")
        assert words not in shell.run("%upload wide as again --fresh --quiet").printed
        planned = shell.run("%upload wide, d --dry-run").printed
        assert words in planned
        assert "about 1,003" in planned
        assert "tokens are estimates: text, one for 3.5 bytes" in planned
