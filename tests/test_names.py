"""Names and types: what the Files API takes, what a person sees, and which block a file can stand in."""

import os
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbfiles._errors import FileNameError, InputError
from nbfiles._names import (
    BLOCKS,
    DATA,
    FORBIDDEN,
    IMAGES,
    LONG_TEXT,
    MAX_NAME,
    OCTETS,
    PURPOSES,
    TYPES,
    blocks_for,
    check_filename,
    check_mime_type,
    ending_of,
    filename_for,
    is_hidden,
    mark,
    mime_type_for,
    visible,
)

TRIALS = settings(max_examples=20_000 if os.environ.get("NBFILES_TRIALS") == "full" else 2_000, deadline=None)
ANY_TEXT = st.text(st.characters(), max_size=300) | st.text(
    st.sampled_from('ab.é中😀e\u0301\u202e\u200b\x00\n\x7f\x85\ud800%"\\/<>:|?* '), max_size=12
)


# -- file names


@TRIALS
@given(ANY_TEXT)
@example("")
@example(".")
@example("..")
@example("x" * 255)
@example("x" * 256)
@example("😀" * 255)
@example("a" * 520)
def test_rule_of_names(name):
    """A name that is taken holds to the whole rule, unaltered; one that is refused breaks it and is told why."""
    bad = {char for char in name if char in FORBIDDEN or unicodedata.category(char) in {"Cc", "Cs"}}
    holds = 1 <= len(name) <= MAX_NAME and name not in {".", ".."} and not bad
    try:
        taken = check_filename(name)
    except FileNameError as error:
        taken, refused = None, error
    if holds:
        assert name == taken
        taken.encode()
        return
    assert taken is None
    said = str(refused)
    reasons = ["is empty", f"has {len(name)} characters", "is a folder", *(f"holds {char}" for char in bad)]
    reasons += [f"holds {mark(char)}" for char in bad]
    assert any(reason in said for reason in reasons)
    assert "--name" in said
    assert not any(is_hidden(char) for char in said)
    assert len(said) < 1000


@pytest.mark.parametrize(
    "name", ["e\u0301.txt", "\u00e9.txt", "%22.txt", "a b.txt", " a", "a ", "a'b", "-", "...", "\u202ea.txt"]
)
def test_names_kept(name):
    """Both forms of an accent, percent signs and spaces are kept as they are: what is sent is what was asked for."""
    assert name == check_filename(name)


@pytest.mark.parametrize(
    ("variable", "ending", "expected"),
    [
        ("sales", ".csv", "sales.csv"),
        ("df[df.x > 3]", ".csv", "df_df_x_3.csv"),
        ("", ".csv", "data.csv"),
        ("[]", ".parquet", "data.parquet"),
        ("données", ".csv", "données.csv"),
        ("x" * 500, ".csv", "x" * 60 + ".csv"),
        ("../../etc/passwd", ".csv", "etc_passwd.csv"),
    ],
)
def test_name_from_a_variable(variable, ending, expected):
    """A variable or an expression becomes a short readable file name."""
    assert expected == filename_for(variable, ending)


@TRIALS
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), st.sampled_from(sorted(TYPES)))
def test_name_from_any_text(variable, ending):
    """Whatever the expression is, the name made from it is one that the API takes and has the ending."""
    name = filename_for(variable, ending)
    assert name == check_filename(name)
    assert ending == ending_of(name)


@pytest.mark.parametrize(
    ("name", "ending"),
    [("a.CSV", ".csv"), ("a.tar.gz", ".gz"), (".bashrc", ""), ("a", ""), ("a.", "."), ("", ""), ("a.b c", ".b c")],
)
def test_ending(name, ending):
    """The ending is the last one, in small letters; a hidden file's name is no ending."""
    assert ending == ending_of(name)


# -- what a person sees


@TRIALS
@given(ANY_TEXT)
def test_visible(text):
    """Nothing hidden is left, the rest is as it was, and doing it twice changes nothing."""
    shown = visible(text)
    assert not any(is_hidden(char) for char in shown)
    assert "".join(mark(char) if is_hidden(char) else char for char in text) == shown
    assert shown == visible(shown)
    shown.encode()


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("\x1b", "<U+001B>"), ("\x7f", "<U+007F>"), ("\x85", "<U+0085>"), ("\u202e", "<U+202E>"),
        ("\u2066", "<U+2066>"),
        ("\u200b", "<U+200B>"), ("\ufeff", "<U+FEFF>"), ("\u2028", "<U+2028>"), ("\U000e0041", "<U+E0041>"),
        ("\ud800", "<U+D800>"), ("\n", "<U+000A>"), ("é", "é"), (" ", " "), ("\u00a0", "\u00a0"), ("😀", "😀"),
    ],
)  # fmt: skip
def test_hidden_characters(char, expected):
    """Controls, direction marks, zero-width characters, tags and half surrogates are spelled out; letters are not."""
    assert expected == visible(char)


def test_every_hidden_code_point():
    """Of all code points, exactly those of the categories Cc, Cf, Cs, Zl and Zp are marked."""
    marked = {code for code in range(0x110000) if visible(chr(code)) != chr(code)}
    hidden = {code for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert hidden == marked


def test_no_name_can_forge_a_mark():
    """A file name cannot hold the sign that a mark begins with."""
    with pytest.raises(FileNameError):
        check_filename("<U+202E>")


# -- types


@pytest.mark.parametrize(("ending", "mime_type"), sorted(TYPES.items()))
def test_table_of_types(ending, mime_type):
    """Each ending has its type in any case, which can stand in a header; --for container always gives just that."""
    assert mime_type == check_mime_type(mime_type)
    for name in (f"a{ending}", f"A{ending.upper()}"):
        assert mime_type == mime_type_for(name, purpose="container")


AUTO = {
    ".csv": "text/plain", ".tsv": "text/plain", ".md": "text/plain", ".json": "text/plain", ".jsonl": "text/plain",
    ".py": "text/plain", ".log": "text/plain", ".txt": "text/plain", ".xml": "text/plain", ".yaml": "text/plain",
    ".html": "text/html", ".ipynb": "application/x-ipynb+json", ".pdf": "application/pdf", ".png": "image/png",
    ".parquet": "application/vnd.apache.parquet", ".npy": OCTETS, ".sql": "application/sql",
}  # fmt: skip


@pytest.mark.parametrize(("ending", "mime_type"), sorted(AUTO.items()))
def test_auto(ending, mime_type):
    """By itself, text that Claude can read as a document goes as text/plain, and everything else as what it is."""
    assert mime_type == mime_type_for(f"a{ending}")


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (b"%PDF-1.7", "application/pdf"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"), (b"RIFF....WEBP", "image/webp"),
        (b"RIFF....WAVE", "text/plain"),
        (b"PAR1", TYPES[".parquet"]), (b"ARROW1\0\0", TYPES[".feather"]), (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b", "application/gzip"), (b"hello", "text/plain"), (b"", OCTETS), (b"a\0b", OCTETS),
    ],
)  # fmt: skip
def test_type_by_content(head, mime_type):
    """Without a telling ending the first bytes decide."""
    assert [mime_type, mime_type] == [mime_type_for("a", head=head), mime_type_for("a.unknown", head=head)]


def test_ending_wins_over_content():
    """A known ending decides, but what is not text is never stored as text/plain."""
    assert "image/png" == mime_type_for("a.png", head=b"hello")
    assert "text/csv" == mime_type_for("a.csv", head=b"a\0b")


@pytest.mark.parametrize(
    ("name", "head", "asked"),
    [
        ("a.parquet", b"", "text/plain"), ("a.png", b"", "text/csv"), ("a.bin", b"\0", "text/plain"),
        ("a.txt", b"%PDF-1", "TEXT/PLAIN"), ("a", b"\x89PNG\r\n\x1a\n", "text/html; charset=utf-8"),
    ],
)  # fmt: skip
def test_text_for_what_is_not(name, head, asked):
    """Calling binary data text is refused."""
    with pytest.raises(InputError, match="is not text"):
        mime_type_for(name, head=head, asked=asked)


@pytest.mark.parametrize("asked", ["application/x-thing", "text/plain; charset=utf-8", 'a/b; c="d e"', "image/svg+xml"])
def test_asked_type(asked):
    """A type that is asked for wins over the name."""
    assert asked == mime_type_for("a.csv", asked=asked)


@pytest.mark.parametrize(
    "asked",
    ["", "text", "text/", "/plain", "text/plain\r\nX: y", "text/plain\n", "text plain", "text/plain;", "tëxt/plain",
     'text/plain; a="b\r\n"', "text/plain\0", "a/" + "b" * 300, "a/b/c", "text/plain, text/html"],
)  # fmt: skip
def test_no_mime_type(asked):
    """What is no media type, or could forge a header line, is refused and shown safely."""
    with pytest.raises(InputError) as caught:
        check_mime_type(asked)
    assert not any(is_hidden(char) for char in str(caught.value))


@TRIALS
@given(ANY_TEXT)
def test_any_type(text):
    """A type that is taken is printable ASCII of one line with a slash; anything else is refused."""
    try:
        taken = check_mime_type(text)
    except InputError:
        return
    assert text == taken
    assert "/" in taken
    assert taken.isascii()
    assert taken.isprintable()


@pytest.mark.parametrize(
    ("name", "purpose", "mime_type"),
    [
        ("a.html", "document", "text/plain"), ("a.ipynb", "document", "text/plain"),
        ("a.sql", "document", "text/plain"),
        ("a.pdf", "document", "application/pdf"), ("a.csv", "container", "text/csv"), ("a.webp", "image", "image/webp"),
    ],
)  # fmt: skip
def test_purpose(name, purpose, mime_type):
    """What the file is for chooses among its types."""
    assert mime_type == mime_type_for(name, purpose=purpose)


@pytest.mark.parametrize(
    ("name", "purpose"),
    [("a.xlsx", "document"), ("a.png", "document"), ("a.zip", "document"),
     ("a.svg", "image"), ("a.pdf", "image"), ("a.csv", "image")],
)  # fmt: skip
def test_purpose_refused(name, purpose):
    """A file that cannot serve its purpose is refused before it is sent."""
    with pytest.raises(InputError, match="must be"):
        mime_type_for(name, purpose=purpose)


@TRIALS
@given(ANY_TEXT.filter(bool), st.binary(max_size=40), st.sampled_from(PURPOSES))
def test_any_name_gets_a_type(name, head, purpose):
    """Every name and content gets a type that can stand in a header and fits its purpose, or is refused in words."""
    try:
        chosen = mime_type_for(name, head=head, purpose=purpose)
    except InputError:
        assert purpose in {"document", "image"}
        return
    assert chosen == check_mime_type(chosen)
    blocks = blocks_for(name, chosen, 10)
    assert purpose in {"auto", "container"} or purpose in blocks
    assert "container_upload" in blocks
    assert set(blocks) <= set(BLOCKS)


# -- blocks


@pytest.mark.parametrize(
    ("name", "mime_type", "size", "blocks"),
    [
        ("a.pdf", "application/pdf", 10, ("document", "container_upload")),
        ("a.pdf", "application/pdf", 10**8, ("document", "container_upload")),
        ("a.txt", "text/plain", LONG_TEXT, ("document", "container_upload")),
        ("a.txt", "text/plain", LONG_TEXT + 1, ("container_upload", "document")),
        ("a.txt", "TEXT/PLAIN; charset=utf-8", 10, ("document", "container_upload")),
        ("a.csv", "text/plain", 10, ("container_upload", "document")),
        ("a.csv", "text/csv", 10, ("container_upload",)),
        ("a.parquet", TYPES[".parquet"], 10, ("container_upload",)),
        ("a.zip", "application/zip", 10, ("container_upload",)),
        ("a.svg", "image/svg+xml", 10, ("container_upload",)),
        *((f"a.{kind[6:]}", kind, 10, ("image", "container_upload")) for kind in sorted(IMAGES)),
    ],
)
def test_blocks(name, mime_type, size, blocks):
    """The first block is the one that serves best, and a container is always possible."""
    assert blocks == blocks_for(name, mime_type, size)


@pytest.mark.parametrize("ending", sorted(DATA))
def test_data_goes_to_the_container(ending):
    """Data is for code to read first, whatever it is stored as."""
    assert "container_upload" == blocks_for(f"a{ending}", "text/plain", 10)[0]
