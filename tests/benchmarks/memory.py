"""P3: the peak memory of an upload over its baseline, in a process of its own, for a small and a large file.

The baseline is the peak after an upload of 1 MiB; then the kernel's record of the peak is reset
(``/proc/self/clear_refs``, so Linux only), and the file is uploaded. What is left is what its size costs.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nbfiles

MIB = 1 << 20


def peak() -> int:
    """Return the largest resident size since the last reset, in bytes (``VmHWM``)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(base_url: str, path: str) -> dict[str, object]:
    """Upload 1 MiB, reset, upload the file at `path`; return the growth in bytes and the sink's digest."""
    files = nbfiles.Files(base_url=base_url, api_key="benchmark")
    files.upload(b"x" * MIB, name="warm.bin", progress=False)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    baseline = peak()
    file_id = files.upload(path, progress=False)
    return {"growth": peak() - baseline, "sha256": file_id.metadata.extra["sha256"]}


def run(size: int, *, verify: bool) -> int:
    """Return the growth in bytes that a file of `size` bytes costs, measured in a fresh process.

    Raises
    ------
    AssertionError
        If `verify` and what arrived is not what was sent.
    """
    command = [sys.executable, str(Path(__file__).with_name("sink.py")), *(["--verify"] if verify else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        base_url = json.loads(sink.stdout.readline())["base_url"]
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            _fill(file.name, size)
            client = [sys.executable, __file__, base_url, file.name]
            said = subprocess.run(client, capture_output=True, text=True, check=True).stdout
            result = json.loads(said.splitlines()[-1])
            if verify and result["sha256"] != _sha256(file.name):
                raise AssertionError("what arrived is not what was sent")
        sink.stdin.close()
    return result["growth"]


def _fill(path: str, size: int) -> None:
    """Write bytes that differ from piece to piece, so that a piece sent twice or left out changes the digest."""
    with Path(path).open("wb") as file:
        file.writelines(hashlib.sha256(str(at).encode()).digest() * (MIB // 32) for at in range(0, size, MIB))
        file.truncate(size)


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
