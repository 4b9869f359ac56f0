"""``Content``: what goes into a message, made of texts and file ids; and the tools that its blocks need.

Pure: nothing is asked of a server. What the Messages API would refuse only when the message is sent, a block that does
not fit its file's MIME type, is refused here.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from nbfiles._errors import InputError
from nbfiles._models import FileId, FileMetadata, cautions, make_block
from nbfiles._names import visible

# The version whose results `generated` reads, with bash and files, and that every current model takes:
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool
CODE_EXECUTION = {"type": "code_execution_20250825", "name": "code_execution"}
_ID = re.compile(r"file_[A-Za-z0-9_]{6,}")
_NEEDS_CODE = "container_upload"


class Content(list[dict[str, Any]]):
    """A list of content blocks, for ``messages.create(messages=[{"role": "user", "content": ...}])``.

    Made by `content`.
    """

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools that the request must name: code execution if a file goes into its container, else none."""
        return [dict(CODE_EXECUTION)] if any(block.get("type") == _NEEDS_CODE for block in self) else []


def content(*parts: Any) -> Content:
    """Make a message's content of texts and files.

    Parameters
    ----------
    *parts : str, FileId, FileMetadata, dict, list or DataFrame
        A text; a file, which becomes the block that fits it best (`FileId.block`); a block of your own
        (``report_id.block("document", citations=True)``); a list of these; a table of files, which stands for its rows.

    Returns
    -------
    Content
        A list of blocks in the order of `parts`. Its `tools` are those that the request must name: a
        ``container_upload`` needs the code execution tool.

    Raises
    ------
    InputError
        If a part is none of these, an id knows no file so that its block cannot be chosen, or a text is empty.

    Warns
    -----
    UserWarning
        If a file is of the local Files API, has expired, or expires within a day.

    Examples
    --------
    >>> asked = nbfiles.content("Compare these.", report_id, sales_id)
    >>> client.messages.create(
    ...     model="claude-sonnet-5-5",
    ...     max_tokens=2048,
    ...     messages=[{"role": "user", "content": asked}],
    ...     tools=asked.tools,
    ... )
    """
    files = list[FileId]()
    made = Content(block for part in parts for block in _blocks(part, files))
    for words in cautions(files):
        warnings.warn(words, stacklevel=2)
    return made


def _blocks(part: Any, files: list[FileId]) -> list[dict[str, Any]]:
    """Return the blocks of one part; note in `files` the ids that were met."""
    if isinstance(part, FileMetadata):
        part = FileId.of(part)
    if isinstance(part, FileId):
        files.append(part)
        return [make_block(part)]
    if isinstance(part, str):
        return [{"type": "text", "text": _text(part)}]
    if isinstance(part, dict):
        if not isinstance(part.get("type"), str):
            raise InputError("a dict without a type is no content block", "Make one with .block().")
        return [part]
    if hasattr(type(part), "nbfiles"):  # a frame: our accessor knows its ids
        part = part.nbfiles.ids()
    if isinstance(part, list | tuple):
        return [block for one in part for block in _blocks(one, files)]
    raise InputError(
        f"{type(part).__name__} is no part of a message",
        "Give texts, file ids, blocks, or a table of files; %upload a DataFrame first.",
    )


def _text(text: str) -> str:
    """Return `text` if it is one to send: a bare id would reach Claude as a word and not as the file."""
    if not text.strip():
        raise InputError("a text of the message is empty", "The Messages API refuses empty texts. Leave it out.")
    if _ID.fullmatch(text):
        raise InputError(
            f"{visible(text)} is an id that knows no file, so its block cannot be chosen",
            "Fetch it, nbfiles.get_file(id), or name the block: nbfiles.FileId(id).block('document').",
        )
    return text
