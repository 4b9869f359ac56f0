"""Pictures of Pillow: every pixel back from formats that keep it, refused by those that do not."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request
from nbfiles.sources._pictures import _KEEPS


def picture(mode, size=(16, 9), seed=0):
    """A picture of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if mode in {"P", "PA"}:
        return Image.fromarray(noise[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).convert(mode)
    made = Image.new(mode, size)
    made.frombytes(np.resize(noise.ravel(), len(made.tobytes())).tobytes())
    return made


def pixels(image):
    """Return what is seen, in a mode that all files have; those of more than eight bits as they are."""
    wide = image.mode in {"I", "I;16", "F", "CMYK", "YCbCr", "LAB"}
    return (image.mode, image.tobytes()) if wide else image.convert("RGBA").tobytes()


@pytest.mark.parametrize(
    ("format_", "mode"),
    [(format_, mode) for format_, modes in sorted(_KEEPS.items()) for mode in sorted(modes) if format_ != "jpg"],
)
def test_pixels(store, format_, mode):
    """PNG, WebP, GIF and TIFF give back every pixel of the modes that they take."""
    original = picture(mode)
    arrived = store(original, format=format_)
    with Image.open(io.BytesIO(arrived.content)) as back:
        assert pixels(original) == pixels(back)
        assert original.size == back.size


def test_default(store):
    """A picture is a PNG, even if it was a JPEG once: it may have been changed since."""
    arrived = store(Image.open(Path(sklearn.datasets.__file__).parent / "images/china.jpg"))
    assert ("data.png", "image/png") == (arrived.name, arrived.mime_type)
    with Image.open(Path(sklearn.datasets.__file__).parent / "images/china.jpg") as original:
        assert original.tobytes() == Image.open(io.BytesIO(arrived.content)).tobytes()


def test_jpeg(send):
    """A JPEG comes near, and the receipt says that it is not the same."""
    arrived = send(Image.linear_gradient("L"), name="a.jpeg", opt=(("quality", 95),))
    back = Image.open(io.BytesIO(arrived.content))
    difference = np.abs(np.asarray(back, dtype=int) - np.asarray(Image.linear_gradient("L"), dtype=int))
    assert (True, "JPEG", "image/jpeg") == (difference.max() < 8, back.format, arrived.mime_type)
    assert ("a JPEG keeps no pixel exactly; png does",) == arrived.notes


@pytest.mark.parametrize("format_", ["gif", "png", "webp", "tiff"])
def test_frames(send, format_):
    """All frames of a moving picture are kept."""
    frames = [Image.new("P", (4, 4), color) for color in range(3)]
    for frame in frames:
        frame.putpalette([value for color in range(256) for value in (color * 80 % 256, 255 - color, color)])
    file = io.BytesIO()
    frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], duration=100)
    moving = Image.open(file)
    back = Image.open(io.BytesIO(send(moving, format=format_).content))
    assert moving.n_frames == back.n_frames
    for number in range(moving.n_frames):
        moving.seek(number)
        back.seek(number)
        assert moving.convert("RGBA").tobytes() == back.convert("RGBA").tobytes()
    moving.seek(0)
    with pytest.raises(LossError, match="x: the picture holds 3 frames, which jpg has one of"):
        sources.payloads(in_colour(moving), Request(label="x", format="jpg"))


def in_colour(moving):
    """The moving picture with frames that a JPEG could take one of."""
    frames = []
    for number in range(moving.n_frames):
        moving.seek(number)
        frames.append(moving.convert("RGB"))
    file = io.BytesIO()
    frames[0].save(file, format="TIFF", save_all=True, append_images=frames[1:])
    return Image.open(file)


@pytest.mark.parametrize(
    ("mode", "format_", "way_out"),
    [
        ("F", "png", "--format tiff"),
        ("CMYK", "png", "--format tiff"),
        ("RGBA", "jpg", "--format png or --format tiff"),
        ("RGB", "gif", "--format png or --format tiff"),
        ("I", "webp", "--format tiff"),
        ("HSV", "png", "Convert it first"),
    ],
)
def test_refused(send, mode, format_, way_out):
    """Pixels that a format would change are refused, with one that keeps them; --lossy converts them."""
    with pytest.raises(LossError) as caught:
        sources.payloads(picture(mode), Request(label="x", format=format_))
    assert f"x: the picture holds pixels of mode {mode}" in caught.value.cause
    assert way_out in caught.value.way_out
    arrived = send(picture(mode), format=format_, lossy=True)
    assert Image.open(io.BytesIO(arrived.content)).size == (16, 9)
    assert any(f"pixels of mode {mode} are written as" in note for note in arrived.notes)


def test_no_table():
    """A picture is no table."""
    with pytest.raises(InputError, match="there is no format csv for a picture"):
        sources.payloads(picture("L"), Request(format="csv"))


@settings(max_examples=1000 if os.environ.get("NBFILES_TRIALS") == "full" else 100, deadline=None)
@given(
    st.sampled_from([(f, m) for f, modes in sorted(_KEEPS.items()) for m in sorted(modes) if f != "jpg" and m != "PA"]),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 2**32),
)
def test_random(kind, size, seed):
    """Any picture comes back with every pixel."""
    format_, mode = kind
    original = picture(mode, size, seed)
    with sources.payloads(original, Request(format=format_)) as made:
        back = Image.open(io.BytesIO(b"".join(made.items[0].chunks())))
        assert pixels(original) == pixels(back)
