"""What goes into a message: blocks that fit their files, checked against the official SDK's own types."""

from __future__ import annotations

import itertools
import json
import warnings
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from anthropic.types import (
    CodeExecutionTool20250825Param,
    ContainerUploadBlockParam,
    ContentBlockParam,
    DocumentBlockParam,
    ImageBlockParam,
    MessageParam,
)
from pydantic import TypeAdapter

import nbfiles
from nbfiles import FileId, FileMetadata, InputError, content
from nbfiles._table import Row, file_table

NOW = datetime.now(UTC)
BLOCKS = {"document": DocumentBlockParam, "image": ImageBlockParam, "container_upload": ContainerUploadBlockParam}
# https://platform.claude.com/docs/en/build-with-claude/files, "File types and content blocks": name, type, blocks.
FITS = [
    ("a.pdf", "application/pdf", {"document"}),
    ("a.txt", "text/plain", {"document"}),
    ("a.csv", "text/plain", {"document"}),
    ("a.py", "text/plain; charset=utf-8", {"document"}),
    ("a.jpg", "image/jpeg", {"image"}),
    ("a.png", "image/png", {"image"}),
    ("a.gif", "image/gif", {"image"}),
    ("a.webp", "image/webp", {"image"}),
    ("a.csv", "text/csv", set()),
    ("a.md", "text/markdown", set()),
    ("a.json", "application/json", set()),
    ("a.xml", "application/xml", set()),
    ("a.py", "text/x-python", set()),
    ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", set()),
    ("a.xls", "application/vnd.ms-excel", set()),
    ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", set()),
    ("a.parquet", "application/octet-stream", set()),
    ("a.svg", "image/svg+xml", set()),
]
PAIRS = [(*file, block, block in fits or block == "container_upload") for *file, fits in FITS for block in BLOCKS]


def file(name: str = "a.pdf", mime_type: str = "application/pdf", size: int = 10, **fields) -> FileId:
    """Return an id that knows its file."""
    return FileId.of(FileMetadata(f"file_{name}", "file", name, mime_type, size, NOW, **fields))


def as_sdk_sees(kind, block):
    """Return `block` as the SDK's type reads it: a field that it does not know would be lost here."""
    read = TypeAdapter(kind).validate_python(block)
    return json.loads(json.dumps(read, default=list))


@pytest.mark.parametrize(("name", "mime_type", "block", "fits"), PAIRS)
def test_a_block_fits_its_file_or_is_refused(name, mime_type, block, fits) -> None:
    """Every pair of MIME type and block is either what the SDK sends or refused before any call."""
    one = file(name, mime_type)
    if not fits:
        with pytest.raises(InputError, match=f"{name} is .*, which cannot be used as {block}"):
            one.block(block)
        return
    made = one.block(block)
    assert made == as_sdk_sees(BLOCKS[block], made) == as_sdk_sees(ContentBlockParam, made)
    assert str(one) in json.dumps(made)


@pytest.mark.parametrize(("name", "mime_type", "fits"), FITS)
def test_the_block_that_is_chosen_fits(name, mime_type, fits) -> None:
    """Left to choose, a file becomes a block that its MIME type allows, and the content names the tool it needs."""
    asked = content("Read this.", file(name, mime_type))
    chosen = asked[1]["type"]
    assert chosen in {*fits, "container_upload"}
    assert ([] if chosen != "container_upload" else ["code_execution"]) == [tool["name"] for tool in asked.tools]
    TypeAdapter(MessageParam).validate_python({"role": "user", "content": asked})
    TypeAdapter(list[CodeExecutionTool20250825Param]).validate_python(asked.tools)


OPTIONS = [
    {"title": "Sales"},
    {"context": "Of 2024."},
    {"citations": True},
    {"cache": True},
    {"cache": "5m"},
    {"cache": "1h"},
]


@pytest.mark.parametrize("options", [a | b for a, b in itertools.combinations_with_replacement(OPTIONS, 2)])
def test_what_a_document_may_have(options) -> None:
    """Title, context, citations and caching stand as the SDK's type has them."""
    made = file().block(**options)
    assert made == as_sdk_sees(DocumentBlockParam, made)
    assert set(made) == {"type", "source"} | {{"cache": "cache_control"}.get(name, name) for name in options}


def test_what_only_a_document_has_makes_one() -> None:
    """A table that would go into the container becomes a document where a title is asked for."""
    table = file("sales.csv", "text/plain")
    assert ("container_upload", "document") == (table.block()["type"], table.block(title="Sales")["type"])


@pytest.mark.parametrize(
    ("one", "options", "message"),
    [
        (file("a.png", "image/png"), {"title": "x"}, "title goes with a document, and this is image"),
        (file("a.csv", "text/csv"), {"title": "x", "citations": True},
         "title and citations go with a document, and this is container_upload"),
        (file(), {"cache": "2h"}, "cache cannot be '2h'"),
        (file(), {"kind": "picture"}, "there is no block 'picture'"),
        (FileId("file_x"), {}, "file_x carries no metadata, so its block cannot be chosen"),
    ],
)  # fmt: skip
def test_what_a_block_cannot_have(one, options, message) -> None:
    """What the Messages API would refuse is refused here, in one line."""
    with pytest.raises(InputError, match=message):
        one.block(**options)


@pytest.mark.parametrize("kind", ["image", "container_upload"])
def test_caching_other_blocks(kind) -> None:
    """Images and files of the container can be cached, too."""
    made = file("a.png", "image/png").block(kind, cache=True)
    assert made == as_sdk_sees(BLOCKS[kind], made)
    assert {"type": "ephemeral"} == made["cache_control"]


def test_content_takes_what_a_notebook_has() -> None:
    """Texts, ids, metadata, lists, tables and blocks of one's own become one list, in their order."""
    pdf, png, own = file(), file("b.png", "image/png"), {"type": "text", "text": "own"}
    table = file_table([Row.of(png.metadata)])
    made = content("Compare these", pdf, pdf.metadata, [png, "and"], table, pd.DataFrame(table), own)
    kinds = ["text", "document", "document", "image", "text", "image", "image", "text"]
    assert kinds == [block["type"] for block in made]
    assert made == json.loads(json.dumps(made))
    TypeAdapter(MessageParam).validate_python({"role": "user", "content": made})


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("  ", "a text of the message is empty"),
        ("file_011CNha8iCJcU1wXNR6q4V8w", "is an id that knows no file, so its block cannot be chosen"),
        (FileId("file_011CNha8iCJcU1wXNR6q4V8w"), "carries no metadata, so its block cannot be chosen"),
        ({"text": "x"}, "a dict without a type is no content block"),
        (7, "int is no part of a message"),
        (None, "NoneType is no part of a message"),
        (pd.DataFrame({"a": [1]}), "the frame has no column id"),
    ],
)
def test_what_is_no_part_of_a_message(part, message) -> None:
    """Anything else is refused; an id that was typed is never sent as a word."""
    with pytest.raises(InputError, match=message):
        content("Read", part)


def warned(call) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {__file__} >= {warning.filename for warning in caught}
    return [str(warning.message) for warning in caught]


def test_files_that_claude_cannot_see_are_said_once() -> None:
    """Files of the local API and files that end are warned of, at the caller's line, once each."""
    here = [FileId(f"file_local_{number}", file().metadata) for number in range(3)]
    late = file("late.pdf", expires_at=NOW + timedelta(hours=2, minutes=30))
    dead = file("dead.pdf", expires_at=NOW - timedelta(days=1))
    well = file("well.pdf", expires_at=NOW + timedelta(days=2))
    assert ["3 of these files are stored on this machine only, so Claude cannot see them"] == [
        words.partition(";")[0] for words in warned(lambda: content(here))
    ]
    expected = ["late.pdf expires within 3 h; upload it again", "dead.pdf has expired; upload it again"]
    assert expected == warned(lambda: content(late, dead, well))
    assert expected[:1] == warned(late.block)
    assert 1 == len(warned(here[0].block))


def test_the_tools_are_a_copy() -> None:
    """Whoever changes the tools of one message changes no other's."""
    asked = content(file("a.csv", "text/csv"))
    asked.tools[0]["name"] = "changed"
    assert [{"type": "code_execution_20250825", "name": "code_execution"}] == asked.tools
    assert nbfiles.Content is type(asked)
