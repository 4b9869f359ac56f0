"""``generated``: the files that Claude made while it answered. Pure: walks a response's content blocks.

Where ids stand is taken from the official SDK's types (``code_execution_tool_result_block`` and
``bash_code_execution_tool_result_block``)::

    message.content[]
    └── *code_execution_tool_result
        └── content: *code_execution_result        an error has no files
            └── content[]: *code_execution_output  file_id
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbfiles._errors import InputError
from nbfiles._models import FileId

_TOOL_RESULTS = frozenset({"code_execution_tool_result", "bash_code_execution_tool_result"})
_RESULTS = frozenset({"code_execution_result", "bash_code_execution_result", "encrypted_code_execution_result"})
_OUTPUTS = frozenset({"code_execution_output", "bash_code_execution_output"})


def generated(message: Any) -> list[FileId]:
    """Return the ids of the files that code execution made for a response.

    Parameters
    ----------
    message : Message, dict, or list
        What ``messages.create`` returned, of either namespace of the SDK or as JSON; its content alone; or a list of
        messages, such as a whole conversation. What you sent along counts for nothing.

    Returns
    -------
    list of FileId
        Each once, in the order of the response. They know no file yet: ``nbfiles.get_file(id)`` asks,
        ``%files download`` and ``nbfiles.download_file`` fetch it, and `nbfiles.read` reads it.

    Raises
    ------
    InputError
        If `message` is nothing that a response could be.

    Examples
    --------
    >>> made = nbfiles.generated(response)
    >>> nbfiles.read(made[0])
    """
    if not is_response(message):
        raise InputError(
            f"{type(message).__name__} is no response of the Messages API",
            "Give what messages.create returned, or its content.",
        )
    return list(dict.fromkeys(FileId(file_id) for file_id in _walk(message)))


def is_response(value: Any) -> bool:
    """Whether `value` has the form of a message, of its content, or of a list of messages."""
    if isinstance(value, list | tuple):
        return all(is_response(item) or isinstance(_field(item, "type"), str) for item in value)
    return not isinstance(value, str) and isinstance(_field(value, "content"), list | str)


def _walk(value: Any) -> Iterator[str]:
    """Yield the ids in a message, a block or a list of them."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item)
    elif _field(value, "type") in _TOOL_RESULTS:
        result = _field(value, "content")
        if _field(result, "type") in _RESULTS:
            yield from (_field(output, "file_id") for output in _field(result, "content") or () if _is_output(output))
    elif _field(value, "role") is not None or _field(value, "type") == "message":
        yield from _walk(_field(value, "content"))


def _is_output(output: Any) -> bool:
    file_id = _field(output, "file_id")
    return _field(output, "type") in _OUTPUTS and isinstance(file_id, str) and file_id != ""


def _field(value: Any, name: str) -> Any:
    """Return a field of a model or of a dict; None where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
