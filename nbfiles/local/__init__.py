"""A Files API on this machine: the contract of Anthropic's, for trying nbfiles without an account and for tests.

It is a process of its own, ``python -m nbfiles.local``, and any client of the Files API can use it. What was uploaded
cannot be downloaded, as at Anthropic; `add_generated` puts a file there that can, as code execution would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

__all__ = ["add_generated"]


def add_generated(
    name: str,
    data: bytes,
    mime_type: str | None = None,
    dir: str | os.PathLike[str] | None = None,  # noqa: A002  # the command line's word
) -> str:
    r"""Put a file into the local Files API as if code execution had made it, so that it can be downloaded.

    Parameters
    ----------
    name : str
        Its file name: 1 to 255 characters, no folder.
    data : bytes
        Its content, at most 524,288,000 bytes.
    mime_type : str or None, default None
        None takes the type from the name's ending, or from the first bytes.
    dir : str or os.PathLike or None, default None
        The store's folder. None takes ``NBFILES_LOCAL_DIR``, else the one in the user's data folder. A server may be
        running on it.

    Returns
    -------
    str
        The file id.

    Raises
    ------
    nbfiles.InputError
        If the name, the type or the size is not what the Files API takes.
    nbfiles.Error
        If the folder cannot be used.

    Examples
    --------
    >>> from nbfiles.local import add_generated
    >>> add_generated("chart.csv", b"x,y\n1,2\n")  # doctest: +SKIP
    'file_local_0PvCaJt2K5c0eYq7Zb1XnWd4'
    """
    from pathlib import Path

    from nbfiles._errors import FileTooLargeError
    from nbfiles._names import check_filename, mime_type_for, visible
    from nbfiles.local._parser import MAX_FILE_SIZE
    from nbfiles.local._store import Store, default_folder

    check_filename(name)
    chosen = mime_type_for(name, head=data[:512], asked=mime_type, purpose="container")
    if len(data) > MAX_FILE_SIZE:
        raise FileTooLargeError(
            f"{visible(name)} has {len(data)} bytes, and one file may have {MAX_FILE_SIZE}", "Split it."
        )
    with Store(default_folder() if dir is None else Path(dir), sweep=False) as store, store.receive() as incoming:
        incoming.write(data)
        return store.publish(incoming, name, chosen, downloadable=True).id
