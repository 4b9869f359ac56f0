"""The options of the magics, and the verbs of ``%files``, as one table that everything else reads.

Parsing, ``--help``, completion and "did you mean" all come from ``OPTIONS`` and ``VERBS``, so an option that is not
here does not exist anywhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from nbfiles._errors import InputError
from nbfiles._names import PURPOSES
from nbfiles._values import (
    SECONDS,
    SORTS,
    read_age,
    read_choice,
    read_count,
    read_expires,
    read_filename,
    read_format,
    read_key_value,
    read_mime_glob,
    read_mime_type,
    read_part_size,
    read_size,
    read_timeout,
)
from nbfiles._words import near

if TYPE_CHECKING:
    from collections.abc import Callable

Magic = Literal["upload", "cell", "files"]
# Where files may go (`%files use`).
PLACES = ("local", "anthropic")
MAGICS: dict[Magic, str] = {"upload": "%upload", "cell": "%%upload", "files": "%files"}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of some magics.

    Parameters
    ----------
    key : str
        As it is written, without its dashes: ``"dry-run"``.
    on : tuple of str
        Where it belongs: ``"upload"``, ``"cell"``, and verbs of ``%files``. The first is named in errors.
    help : str
        One line.
    metavar : str, default ""
        How its argument is called; ``""`` for a flag.
    read : callable, default reads text as it stands
        ``read("--key", text)`` gives the checked value or raises `InputError`.
    default : str, default ""
        What holds without it, in words, where `help` does not say it.
    name : str, default made from `key`
        The key in ``Command.options``: a Python identifier.
    value : bool, default True
        What a flag stores.
    repeatable : bool, default False
        Whether it may stand several times; its values are then a tuple.
    meant : tuple of str, default ()
        Other tools' words for it, for "did you mean"; single letters are those of short options.
    """

    key: str
    on: tuple[str, ...]
    help: str
    metavar: str = ""
    read: Callable[[str, str], Any] = lambda _flag, text: text
    default: str = ""
    name: str = ""
    value: bool = True
    repeatable: bool = False
    meant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Derive the Python name: ``dry-run`` is ``dry_run``."""
        if not self.name:
            object.__setattr__(self, "name", self.key.replace("-", "_"))

    @property
    def flag(self) -> str:
        """The option as it is written: ``--dry-run``."""
        return f"--{self.key}"

    @property
    def usage(self) -> str:
        """The option with its argument: ``--expires AGE``."""
        return f"{self.flag} {self.metavar}" if self.metavar else self.flag

    def accept(self, value: object) -> Any:
        """Check a value that Python gave, such as that of ``--jobs (n)``.

        Raises
        ------
        InputError
            If it is of no type that can be the option's text, or the text is refused.
        """
        if value is None and self.key == "expires":
            return None
        if isinstance(value, timedelta) and self.metavar in {"AGE", "TIME"}:
            unit = "s" if self.metavar == "TIME" else "m"
            return self.read(self.flag, f"{value // timedelta(seconds=SECONDS[unit])}{unit}")
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputError(f"{self.flag} takes {self.metavar}, and this Python gives a {type(value).__name__}")
        return self.read(self.flag, str(value))


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of ``%files``.

    Parameters
    ----------
    name : str
        As it is written.
    help : str
        One line.
    takes : {"", "ids", "place"}, default ""
        What may follow it besides options; ids and the place are then required.
    meant : tuple of str, default ()
        Other tools' words for it.
    """

    name: str
    help: str
    takes: Literal["", "ids", "place"] = ""
    meant: tuple[str, ...] = ()


VERBS: tuple[Verb, ...] = (
    Verb(
        "list", "the files, as a table (what %files alone does)", meant=("ls", "dir", "all", "show", "find", "search")
    ),
    Verb("info", "everything about some files", "ids", meant=("stat", "describe", "head", "metadata")),
    Verb("download", "fetch files that Claude made", "ids", meant=("get", "fetch", "save", "pull", "cp", "copy")),
    Verb("delete", "delete files, after asking", "ids", meant=("rm", "del", "remove", "drop", "erase", "unlink")),
    Verb("prune", "delete what filters choose, after asking", meant=("clean", "cleanup", "purge", "gc")),
    Verb("duplicates", "files stored more than once", meant=("dups", "dupes")),
    Verb("usage", "how much is stored", meant=("du", "df", "quota", "space")),
    Verb("pending", "uploads whose outcome is unknown", meant=("status", "unknown", "journal")),
    Verb("browse", "a table to search, select and delete in", meant=("browser", "open", "view", "ui")),
    Verb("use", "where files go: local or anthropic", "place", meant=("switch", "connect", "login")),
)


def verb(name: str) -> Verb | None:
    """Return the verb called `name`."""
    return next((verb for verb in VERBS if verb.name == name), None)


_EVERYWHERE = ("upload", "cell", *(verb.name for verb in VERBS))
_FILTERED = ("list", "prune")

OPTIONS: tuple[Option, ...] = (
    Option("name", ("upload",), "the file name to send", "FILENAME", read_filename, "from the path or the variable",
           meant=("filename", "file-name", "n", "title", "rename")),
    Option("type", ("upload", "cell"), "the MIME type to store it with", "MIME", read_mime_type, "by name and content",
           meant=("mime", "mime-type", "mimetype", "content-type", "t")),
    Option("for", ("upload", "cell"), "what Claude will use it as: auto, document, container, image", "USE",
           read_choice(PURPOSES), "auto", name="for_", meant=("use", "purpose", "as", "block")),
    Option("format", ("upload",), "how to write a table: csv, json, parquet, xlsx, ...", "FORMAT", read_format,
           "by --name, else csv", meant=("fmt", "f")),
    Option("opt", ("upload",), 'passed to the writer or store: --opt sep=";"; may repeat', "KEY=VALUE", read_key_value,
           repeatable=True, meant=("option", "options", "kwargs", "kw")),
    Option("index", ("upload",), "write the table's index", default="all but a plain RangeIndex"),
    Option("no-index", ("upload",), "leave the index out", name="index", value=False),
    Option("max-rows", ("upload",), "send the first N rows only", "N", read_count(), "all rows",
           meant=("rows", "nrows", "head", "limit")),
    Option("sample", ("upload",), "send N rows chosen at random", "N", read_count(), "all rows"),
    Option("include", ("upload",), "in a folder, only what matches; may repeat", "GLOB", repeatable=True,
           default="everything but hidden and key files"),
    Option("exclude", ("upload",), "in a folder, not what matches; may repeat", "GLOB", repeatable=True,
           meant=("ignore", "skip")),
    Option("zip", ("upload",), "send a folder as one archive", meant=("archive", "compress")),
    Option("split", ("upload",), "send parts of about this size", "SIZE", read_part_size, "as partitioned",
           meant=("chunk", "chunks", "chunksize", "part-size")),
    Option("one", ("upload",), "send a partitioned table as one file", meant=("single", "concat")),
    Option("on", ("upload",), "upload from a cluster's workers", "ADDRESS", default="this machine",
           meant=("cluster", "scheduler", "client")),
    Option("jobs", ("upload",), "files sent at the same time, 1 to 64", "N", read_count(64), "adaptive",
           meant=("j", "workers", "threads", "parallel", "concurrency", "max-concurrency", "n-jobs")),
    Option("expires", ("upload", "cell"), "delete it after 1h to 90d, such as 7d; or never", "AGE", read_expires,
           "never", meant=("ttl", "expire", "expiry", "expires-in", "lifetime", "e")),
    Option("fresh", ("upload", "cell"), "send again, even what is already there",
           meant=("force", "no-cache", "reupload", "f")),
    Option("no-retry", ("upload", "cell"), "one attempt only", meant=("no-retries", "retry", "retries")),
    Option("dry-run", ("upload", "cell"), "say what would be sent; send nothing", meant=("simulate", "check", "n")),
    Option("lossy", ("upload",), "write the format even if it changes values"),
    Option("timeout", ("upload",), "give up after this time, such as 90s or 10m", "TIME", read_timeout,
           "from the size"),
    Option("match", _FILTERED, "names that match", "GLOB", meant=("name", "filename", "grep", "include", "glob")),
    Option("type", _FILTERED, "of this MIME type, or image/*", "MIME", read_mime_glob,
           meant=("mime", "mime-type", "mimetype")),
    Option("larger", _FILTERED, "larger than this", "SIZE", read_size, meant=("bigger", "min-size", "size")),
    Option("older", _FILTERED, "created longer ago", "AGE", read_age, meant=("before", "older-than", "age")),
    Option("newer", _FILTERED, "created since then", "AGE", read_age, meant=("after", "since", "newer-than", "recent")),
    Option("expiring", _FILTERED, "that end within this time", "AGE", read_age, meant=("expires",)),
    Option("duplicates", _FILTERED, "stored more than once", meant=("dups", "dupes")),
    Option("mine", ("list", "duplicates", "usage"), "uploaded from here", meant=("ours", "own")),
    Option("sort", ("list",), "by created, name, size, type or expires", "COLUMN", read_choice(SORTS),
           "created, newest first", meant=("sort-by", "order", "order-by", "by")),
    Option("reverse", ("list",), "the other way round", meant=("r", "desc", "descending", "ascending")),
    Option("limit", ("list",), "the first N only", "N", read_count(), "all",
           meant=("n", "head", "max", "count", "top")),
    Option("to", ("download",), "the folder or file to write", "PATH", default="here",
           meant=("o", "out", "output", "dest", "path", "d", "dir")),
    Option("overwrite", ("download",), "replace a file that is there", meant=("f", "force", "clobber")),
    Option("yes", ("delete", "prune"), "do not ask (also -y)", default="ask", meant=("y", "f", "force", "no-confirm")),
    Option("dry-run", ("delete", "prune"), "say what would go; delete nothing", meant=("n", "simulate", "check")),
    Option("all", ("delete", "prune"), "also what was not uploaded from here", default="only ours"),
    Option("beta", _EVERYWHERE, "a further beta of the API; may repeat", "NAME", repeatable=True, meant=("betas",)),
    Option("quiet", _EVERYWHERE, "no table and no receipt (a ; at the end hides the table)",
           meant=("q", "silent", "s", "no-output")),
    Option("help", _EVERYWHERE, "this page", meant=("h", "usage")),
)  # fmt: skip

# Whatever holds a key stays off the line, because the line is saved.
SECRETS = frozenset({"api-key", "api_key", "apikey", "key", "token", "auth-token", "auth_token", "password", "secret"})


def options_for(place: str) -> tuple[Option, ...]:
    """Return the options of `place`: ``"upload"``, ``"cell"`` or a verb of ``%files``."""
    return tuple(option for option in OPTIONS if place in option.on)


def find_option(key: str, place: str) -> Option | None:
    """Return the option written ``--key`` in `place`."""
    return next((option for option in options_for(place) if option.key == key), None)


def meant_option(word: str, place: str) -> Option | None:
    """Return the option of `place` that `word` was probably meant to be: another tool's word for it, or a typo."""
    options = options_for(place)
    for option in options:
        if word in {option.key, *option.meant}:
            return option
    key = near(word, [option.key for option in options])
    return find_option(key, place) if key else None


def place_name(place: str) -> str:
    """Return how `place` is written: ``%upload``, ``%files list``."""
    if place in {"upload", "cell"}:
        return "%upload" if place == "upload" else "%%upload"
    return f"%files {place}"


_EXAMPLES: dict[Magic, tuple[tuple[str, str], ...]] = {
    "upload": (
        ("%upload report.pdf as report_id", "one file"),
        ("%upload df[df.x > 3] as big, data/*.csv as csv_ids", "several; a glob gives a list of ids"),
        ('%upload "my notes.md" as notes', "a path with spaces or commas in quotes"),
        ("%upload df as sales_id --name sales.parquet --expires 7d", "the ending chooses the format; for a week"),
        (
            "%upload --notebook as nb, --cells 1-5,8 as code",
            "this notebook as saved, and cells by In[n]",
        ),
        ("table = %upload data/*.csv", "one row for each file"),
    ),
    "cell": (
        ("%%upload notes.md as notes_id", "the cell's text becomes the file"),
        ("%%upload notes.md as notes_id --expires 7d", "for a week"),
        ('%%upload "my notes.md"', "a name with spaces in quotes"),
        ('%%upload f"{day}.md" as n', "an f-string, or Python in parentheses"),
    ),
    "files": (
        ("%files", "everything that is stored, newest first"),
        ("%files list --match '*.csv' --older 7d --sort size", "some of it"),
        ("%files info report_id", "a variable, an id, or a file name in quotes"),
        ("%files download chart_id --to out/", "what Claude made"),
        ("%files delete ids[2:] -y", "several at once, without asking"),
        ("table = %files prune --older 7d --dry-run", "what would go, as a DataFrame"),
    ),
}
_USAGE: dict[Magic, str] = {
    "upload": "%upload SOURCE [as NAME], SOURCE [as NAME] ... [OPTIONS] [;]",
    "cell": "%%upload FILENAME [as NAME] [OPTIONS] [;]",
    "files": "%files [VERB] [IDS] [OPTIONS] [;]",
}
_WORDS: dict[Magic, str] = {
    "upload": "Commas separate sources, `as` names one, options start with two dashes, spaces and commas inside a\n"
    "path need quotes, and Python in parentheses is always Python. After -- everything is a source.",
    "cell": "The line names the file; nothing is looked up on disk.",
    "files": "An id is a word that begins with file_, a variable that holds one (or many), or a file name in quotes.",
}


def help_text(magic: Magic) -> str:
    """Return the page that ``--help`` shows.

    Parameters
    ----------
    magic : {"upload", "cell", "files"}
        Which magic.

    Returns
    -------
    str
        Examples, usage, and one line for each verb, and each option.
    """
    examples = _columns([(line, says) for line, says in _EXAMPLES[magic]])
    parts = [examples, _USAGE[magic] + "\n" + _WORDS[magic]]
    if magic == "files":
        parts.append("Verbs\n" + _columns([(verb.name, verb.help) for verb in VERBS]))
        for title, places in _titles([verb.name for verb in VERBS]):
            parts.append(f"{title}\n{_columns(_rows(places))}")
    else:
        parts.append("Options\n" + _columns(_rows((magic,))))
    return "\n\n".join(parts) + "\n"


def _titles(verbs: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the headings of the options of `verbs`, each with the places it speaks of; () stands for all."""
    own = [(f"Options of {verb}", (verb,)) for verb in verbs if _rows((verb,))]
    return [*own, ("Options of all", ())]


def _rows(places: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return usage and help of the options of `places`; a verb's leave out what all of them have."""
    everywhere = [option for option in OPTIONS if option.on == _EVERYWHERE]
    if not places:
        options = everywhere
    else:
        is_verb = verb(places[0]) is not None
        options = [option for option in options_for(places[0]) if not (is_verb and option in everywhere)]
    return [(option.usage, _with_default(option)) for option in options]


def _with_default(option: Option) -> str:
    return f"{option.help} (default: {option.default})" if option.default else option.help


def _columns(rows: list[tuple[str, str]]) -> str:
    """Set `rows` in two columns."""
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"  {left:<{width}}   {right}" for left, right in rows)
