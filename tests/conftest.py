"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from workbench import hear_ctrl_c

from nbfiles import _ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


hear_ctrl_c()
# What says where a browser is, and how much is to be tried; all else that a person has set would change the tests.
_KEPT = frozenset({"NBFILES_CHROMIUM", "NBFILES_TRIALS", "NBFILES_SEED"})


@pytest.fixture(autouse=True)
def ledger(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Take every setting of the person's out of the environment; give the file of a ledger of the test's own."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "NBFILES_")) and name not in _KEPT]:
        monkeypatch.delenv(name)
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    monkeypatch.setenv("NBFILES_LEDGER", str(path))
    yield path
    for kept in _ledger._shared.values():
        kept.close()
    _ledger._shared.clear()


@dataclass
class LocalAPI:
    """A local Files API in a process of its own, and its folder seen from outside."""

    base_url: str
    api_key: str
    dir: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, *options: str) -> LocalAPI:
        """Start a server on `folder` and wait until it says where it is."""
        process = subprocess.Popen(
            [sys.executable, "-m", "nbfiles.local", "--dir", os.fspath(folder), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1].decode())
        said = json.loads(line)
        return cls(said["base_url"], said["api_key"], folder, process)

    @property
    def headers(self) -> dict[str, str]:
        """The header that lets a request in."""
        return {"x-api-key": self.api_key}

    def stop(self) -> str:
        """End the server the polite way; return what it wrote to stderr."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.communicate(timeout=20)[1].decode()

    def kill(self) -> None:
        """End the server at once, in the middle of whatever it does."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        self.process.wait(timeout=20)

    def blob(self, file_id: str) -> Path:
        """Return where the bytes of a file are."""
        return self.dir / "blobs" / file_id.removeprefix("file_local_")

    def stored_bytes(self, file_id: str) -> bytes:
        """Return the bytes of a file, read from the disk and not from the server."""
        return self.blob(file_id).read_bytes()

    def stored_sha256(self, file_id: str) -> str:
        """Return the sha256 of a file's bytes, in hexadecimal, computed from what is on the disk."""
        with self.blob(file_id).open("rb") as blob:
            return hashlib.file_digest(blob, "sha256").hexdigest()

    def stored_ids(self) -> set[str]:
        """Return the ids whose bytes are on the disk."""
        return {f"file_local_{path.name}" for path in (self.dir / "blobs").iterdir()}


@pytest.fixture(scope="module")
def start_local_api() -> Iterator[Callable[..., LocalAPI]]:
    """Return a function that starts a server on a folder; what is left of them ends with the module's tests."""
    started: list[LocalAPI] = []

    def start(folder: Path, *options: str) -> LocalAPI:
        started.append(LocalAPI.start(folder, *options))
        return started[-1]

    yield start
    for api in started:
        api.kill()


@pytest.fixture
def local_api(tmp_path: Path, start_local_api: Callable[..., LocalAPI]) -> Iterator[LocalAPI]:
    """Serve a fresh local Files API for one test."""
    api = start_local_api(tmp_path / "store")
    yield api
    api.kill()


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory, start_local_api: Callable[..., LocalAPI]) -> LocalAPI:
    """Serve one local Files API for all tests of a module that do not mind each other's files."""
    return start_local_api(tmp_path_factory.mktemp("shared") / "store")
