"""``list``: 50,000 files listed through their pages and made into a table; time and memory, the table's own included.

As a program, ``python -m tests.benchmarks.listing URL CA COUNT``, it is the client.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from .clients import KEY
from .measure import Figures, window
from .report import Row, row

if TYPE_CHECKING:
    from .measure import Bench

COUNT = 50_000


def rows(bench: Bench, count: int = COUNT) -> list[Row]:
    """Measure it."""
    what = f"list: {count} files over https"
    with bench.sink("https", "--listing", str(count)) as sink:
        command = ["-m", "tests.benchmarks.listing", sink.url, bench.ca, str(count)]

        def client() -> Figures:
            sink.report()
            cost = Figures(**json.loads(bench.run(*command)))
            return replace(cost, sink=sink.report()["cpu"])

        cost = bench.compare(what, {"nbfiles": client})["nbfiles"]
    return [
        row(f"list {count} files, through pages into a table: wall", cost.wall, "s", note=sink.note),
        row("list peak memory over that of 1000 files", cost.memory, "MiB"),
    ]


def main(url: str, ca: str, count: int) -> None:
    """List, and print what it cost."""
    import nbfiles

    files = nbfiles.Files(base_url=url, api_key=KEY, ca_bundle=ca)
    files.list_files(limit=1000)
    tables = []
    cost = window(lambda: tables.append(files.list_files()))
    if len(tables[0]) != count or tables[0]["id"].nunique() != count:
        raise AssertionError(f"{len(tables[0])} files were listed, and there are {count}")
    print(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
