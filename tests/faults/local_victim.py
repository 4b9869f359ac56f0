"""A process that is killed: it opens a store, publishes two files and deletes one, and says each step when it is done.

``python local_victim.py FOLDER`` says ``ready`` and waits for a line; then ``kept ID CONTENT``, ``ending ID``. It has
one thread, so that a trace counts its system calls alike every time.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from nbfiles.local._store import Store


def say(*words: str) -> None:
    print(*words, flush=True)


say("ready")
sys.stdin.readline()
with Store(Path(sys.argv[1])) as store:
    for _ in range(2):
        content = random.randbytes(20)
        with store.receive() as incoming:
            incoming.write(content[:10])
            incoming.write(content[10:])
            stored = store.publish(incoming, "a.txt", "text/plain")
        say("kept", stored.id, content.hex())
    oldest = store.page(1000)[0][-1]
    say("ending", oldest.id)
    store.delete(oldest.id)
