"""Damage (row L5): whatever somebody or a disk does to a store's folder, no wrong bytes come out of it.

A damaged index is refused with a way out, or served as far as it goes; damaged bytes are an error for their own file
and for no other.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbfiles._errors import Error
from nbfiles.local import add_generated
from nbfiles.local._store import Store

from .local_server import client_of, error_of, serving, upload
from .trials import row

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from .trials import Trial

NOBODY = 65534


@dataclass
class Sound:
    """A folder before the damage: part of its rows in the index, part in the WAL, as a kill leaves them."""

    folder: Path
    listed: dict[str, dict[str, Any]]
    content: dict[str, bytes]

    @classmethod
    def make(cls, folder: Path) -> Sound:
        """Fill a folder."""
        content = {}
        for _ in range(2):  # when the first server ends its rows go to the index; the second is killed
            with serving(folder) as api, client_of(api) as client:
                for number in range(20):
                    data = os.urandom(number * 500)
                    content[add_generated(f"plot {number}.png", data, dir=folder)] = data
                    if number % 5 == 4:  # few, as uploads cannot be read back
                        upload(client, data)
                listed = {file["id"]: file for file in client.get("/v1/files?limit=1000").json()["data"]}
                if len(listed) == 24:
                    api.stop()
        return cls(folder, listed, content)


@contextlib.contextmanager
def _sound() -> Iterator[Sound]:
    with tempfile.TemporaryDirectory() as parent:
        yield Sound.make(Path(parent) / "store")


# -- what is done to it ----------------------------------------------------------------------------------------------
# Each returns the ids of files that may be wrong from then on; None: any.


def _scribble(path: Path, chance: random.Random, size: int) -> None:
    """Change so many bytes in one place."""
    with path.open("r+b") as file:
        place = chance.randrange(max(path.stat().st_size - size, 0) + 1)
        file.seek(place)
        old = file.read(size)
        file.seek(place)
        file.write(bytes(byte ^ chance.randrange(1, 256) for byte in old))


def index_scribbled(folder: Path, chance: random.Random) -> None:
    """A few bytes of the index change."""
    index = _merged(folder)
    for _ in range(chance.randint(1, 3)):
        _scribble(index, chance, chance.choice([1, 1, 4, 100]))


def page_lost(folder: Path, chance: random.Random) -> None:
    """A page of the index is filled with something else."""
    index = _merged(folder)
    with index.open("r+b") as file:
        file.seek(chance.randrange(index.stat().st_size // 4096) * 4096)
        file.write(chance.choice([bytes(4096), chance.randbytes(4096)]))


def index_cut(folder: Path, chance: random.Random) -> None:
    """The index ends too early."""
    index = _merged(folder)
    os.truncate(index, chance.randrange(index.stat().st_size))


def wal_cut(folder: Path, chance: random.Random) -> None:
    """The WAL ends too early, as after a power cut."""
    os.truncate(folder / "files.sqlite-wal", chance.randrange((folder / "files.sqlite-wal").stat().st_size))


def wal_scribbled(folder: Path, chance: random.Random) -> None:
    """A few bytes of the WAL change."""
    _scribble(folder / "files.sqlite-wal", chance, chance.choice([1, 4, 5000]))


def _merged(folder: Path) -> Path:
    """Bring the WAL into the index, so that what happens to the index counts; return the index."""
    with contextlib.closing(sqlite3.connect(folder / "files.sqlite")) as index:
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "files.sqlite"


def _one(folder: Path, chance: random.Random) -> Path:
    """Return the bytes of one file that has any."""
    return chance.choice(sorted(path for path in (folder / "blobs").iterdir() if path.stat().st_size))


def blob_missing(folder: Path, chance: random.Random) -> set[str]:
    """Somebody removed the bytes of a file."""
    blob = _one(folder, chance)
    blob.unlink()
    return {blob.name}


def blob_scribbled(folder: Path, chance: random.Random) -> set[str]:
    """The bytes of a file change."""
    blob = _one(folder, chance)
    _scribble(blob, chance, chance.choice([1, 100]))
    return {blob.name}


def blob_cut(folder: Path, chance: random.Random) -> set[str]:
    """The bytes of a file are fewer, or more."""
    blob = _one(folder, chance)
    size = blob.stat().st_size
    os.truncate(blob, chance.choice([0, chance.randrange(size), size + 1]))
    return {blob.name}


def blobs_exchanged(folder: Path, chance: random.Random) -> set[str]:
    """The bytes of two files stand in each other's place."""
    one, other = (_one(folder, chance) for _ in range(2))
    spare = folder / "spare"
    one.rename(spare)
    if other != one:
        other.rename(one)
    spare.rename(other)
    return {one.name, other.name} if one != other else set()


def blob_is_a_folder(folder: Path, chance: random.Random) -> set[str]:
    """In the place of a file's bytes there is a folder."""
    blob = _one(folder, chance)
    blob.unlink()
    blob.mkdir()
    return {blob.name}


def strangers(folder: Path, chance: random.Random) -> set[str]:
    """There is what no server put there."""
    for place in ("blobs", "incoming"):
        name = chance.choice(["z" * 24, ".DS_Store", "Ünï\n", "-rf", "abc-0", "x.lock"])
        (folder / place / name).write_bytes(b"stranger")
        (folder / place / ".ipynb_checkpoints").mkdir()
        (folder / place / "link").symlink_to(folder / "nowhere")
    return set()


def shm_scribbled(folder: Path, chance: random.Random) -> set[str]:
    """The memory that servers share holds nonsense; as no server is alive it counts for nothing."""
    (folder / "files.sqlite-shm").write_bytes(chance.randbytes(32768))
    return set()


def somebody_elses(folder: Path, chance: random.Random) -> set[str]:
    """The folder belongs to another user; it is refused at once, with a way out."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    else:
        (folder / "files.sqlite").chmod(0)
    try:
        with pytest.raises(Error, match=r"cannot be used: Permission denied\. Choose another"):
            Store(folder)
    finally:
        if os.geteuid() == NOBODY:
            os.seteuid(0)
    (folder / "files.sqlite").chmod(0o600)
    return set()


DAMAGES: list[Callable[[Path, random.Random], set[str] | None]] = [
    index_scribbled, page_lost, index_cut, wal_cut, wal_scribbled, blob_missing, blob_scribbled, blob_cut,
    blobs_exchanged, blob_is_a_folder, strangers, shm_scribbled, somebody_elses]  # fmt: skip


@row("L5", full=300, ci=39, around=_sound)
def damaged(trial: Trial) -> str:
    """A damaged folder is refused with a way out, or what is sound of it is served; wrong bytes never are."""
    sound, damage = trial.shared, trial.case(DAMAGES)
    folder = trial.folder / "store"
    shutil.copytree(sound.folder, folder)
    touched = damage(folder, trial.random)
    with contextlib.ExitStack() as opened:
        try:
            api = opened.enter_context(serving(folder))
        except AssertionError as refused:  # what a server says that does not start
            said = str(refused)
            if touched is not None or not re.fullmatch(
                r"nbfiles\.local: [^\n]+: [^\n]+\. (Move|Update) [^\n]+\n", said
            ):
                raise
            return f"{damage.__name__} refused"
        client = opened.enter_context(client_of(api))
        _serves_what_is_sound(sound, client, touched)
        assert 200 == upload(client).status_code
    return f"{damage.__name__} served"


def _serves_what_is_sound(sound: Sound, client: Any, touched: set[str] | None) -> None:
    answer = client.get("/v1/files?limit=1000")
    assert 200 == answer.status_code, answer.text
    listed = {file["id"]: file for file in answer.json()["data"]}
    if touched is not None:
        whole = {file_id: file for file_id, file in sound.listed.items() if file_id[-24:] not in touched}
        assert whole == {file_id: listed.get(file_id) for file_id in whole}
    for file_id in listed:
        answer = client.get(f"/v1/files/{file_id}/content")
        if answer.status_code == 200:
            assert sound.content[file_id] == answer.content
            continue
        status, _, code = error_of(answer)
        if touched is not None and file_id[-24:] not in touched:
            assert (file_id not in sound.content, 400) == (True, status)
        assert status == 500 or code in {"file_not_downloadable", "file_expired"}
