"""Another process that uploads what it is told to: one line of JSON in, one out."""

from __future__ import annotations

import hashlib
import json
import random
import sys

from workbench import CANARY

import nbfiles
from nbfiles._errors import AmbiguousUploadError, Error

from .calls import SCALED


def main() -> None:
    """Upload until there are no more lines."""
    for line in sys.stdin:
        asked = json.loads(line)
        content = random.Random(asked["seed"]).randbytes(asked["size"])
        files = nbfiles.Files(base_url=asked["url"], api_key=CANARY)
        files.session.patience = SCALED
        said = {"sha256": hashlib.sha256(content).hexdigest(), "id": None, "ambiguous": False, "error": ""}
        try:
            said["id"] = files.upload(content, name=asked["name"], progress=False)
        except Error as error:
            said |= {"ambiguous": isinstance(error, AmbiguousUploadError), "error": str(error)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
