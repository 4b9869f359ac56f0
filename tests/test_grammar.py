"""The grammar: every example of its page, what is written comes back equal, and no line breaks the reader."""

from __future__ import annotations

import os
import random
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nbfiles import _options
from nbfiles._command import render_clause, render_options
from nbfiles._errors import GrammarError
from nbfiles._grammar import (
    Clause,
    Command,
    Id,
    Python,
    Source,
    caret,
    parse_cell,
    parse_files,
    parse_upload,
    render,
    settle,
)
from nbfiles._resolve import Meaning, resolve

FULL = os.environ.get("NBFILES_TRIALS") == "full"
PARSE = {"%upload": parse_upload, "%%upload": parse_cell, "%files": parse_files}
MAGIC = {"upload": parse_upload, "cell": parse_cell, "files": parse_files}


class Fake:
    """A world made of a list of names and a list of files; `df` is in it."""

    def __init__(self, names=(), files=()):
        self.variables = {"df", *names}
        self.files = [file for file in files if not file.endswith("/")]
        self.folders = [file.rstrip("/") for file in files if file.endswith("/")]

    def defined(self, name):
        return name in self.variables

    def names(self):
        return sorted(self.variables)

    def holds(self, name):
        return {"json": "module", "dfs": "many"}.get(name, "one")

    def has_attribute(self, name, attribute):
        return name == "df" and attribute in {"T", "x", "rename"}

    def expand(self, path):
        return "/home/ana" + path[1:] if path.startswith("~/") else path

    def path_kind(self, path):
        if path in self.files:
            return "file"
        folder = path.rstrip("/")
        return "folder" if folder in self.folders or any(f.startswith(folder + "/") for f in self.files) else None

    def matches(self, pattern):
        return sorted(f for f in self.files if f.count("/") == pattern.count("/") and fnmatchcase(f, pattern))

    def siblings(self, path):
        folder = path.rpartition("/")[0]
        return sorted(f for f in self.files if f.rpartition("/")[0] == folder)


def examples():
    """Read the table: number, line, names, files, expected."""
    text = (Path(__file__).parent / "grammar_examples.md").read_text(encoding="utf-8")
    for row in text.splitlines():
        if not re.match(r"\| \d", row):
            continue
        number, line, present, expected = (cell.strip() for cell in row.strip("|").split(" | "))
        line = line.strip("`").replace("⍽", "\u00a0").replace("␢", "\u200b")
        parts = dict(part.partition(" ")[::2] for part in present.split("; ") if part)
        names = parts.get("names", "").split(", ") if "names" in parts else []
        files = parts["files"].split(", ") if "files" in parts else []
        yield pytest.param(line, names, files, expected, id=number)


def value_in_words(value):
    return f"py({value.code})" if isinstance(value, Python) else repr(value)


def meaning_in_words(meaning: Meaning, magic: str) -> str:
    """Write a meaning as the page does."""
    value = meaning.value
    if magic == "cell":
        return f"file `{f'py({value})' if meaning.kind == 'python' else value}`" + (
            f" -> {meaning.target}" if meaning.target else ""
        )
    text = meaning.kind if meaning.kind == "notebook" else f"{meaning.kind} `{value}`"
    if meaning.target:
        text += f" -> {meaning.target}" + {True: " (list)", False: "", None: " (by its value)"}[meaning.many]
    return text


def in_words(command: Command, meanings: tuple[Meaning, ...]) -> str:
    """Write a command and its meanings as the page does."""
    if "help" in command.options:
        return "help"
    parts = [meaning_in_words(meaning, command.magic) for meaning in meanings]
    if command.magic == "files":
        ids = [one.text if one.kind == "place" else f"{one.kind} `{one.text}`" for one in command.ids]
        parts = [" ".join([command.verb, *ids])]
    options = []
    for name, value in command.options.items():
        values = value if isinstance(value, tuple) else (value,)
        options += [name if one is True else f"{name}={value_in_words(one)}" for one in values]
    if options:
        parts.append(", ".join(options))
    if command.hidden:
        parts.append("table hidden")
    parts += [f"note: {meaning.note}" for meaning in meanings if meaning.note]
    return "; ".join(parts)


def read(line, world):
    """Read a whole cell line such as ``t = %upload df`` and resolve it."""
    magic, body = re.search(r"(%%upload|%upload|%files)(?: |$)(.*)", line).groups()
    command = PARSE[magic](body)
    meanings = resolve(command, world) if magic != "%files" else ()
    return command, meanings


@pytest.mark.parametrize(("line", "names", "files", "expected"), list(examples()))
def test_example(line, names, files, expected):
    """Every example of the page means what the page says, to the letter of messages and marks."""
    world = Fake(names, files)
    if not expected.startswith("**E**"):
        assert expected.partition(" (the other")[0] == in_words(*read(line, world))
        return
    message, marked = re.fullmatch(r"\*\*E\*\* (.*) ⟨(.*)⟩", expected).groups()
    with pytest.raises(GrammarError) as caught:
        read(line, world)
    error = caught.value
    assert message == str(error)
    if marked == "end":
        assert (len(line), len(line)) == (error.start, error.end)
        return
    marked = marked.replace("␢", "\u200b")
    # Where the marked text stands twice, it is the second that is too many.
    start = line.rindex(marked)
    assert (marked, start) == (error.line[error.start : error.end], error.start)


def test_all_examples_are_there():
    """The page has 155 examples, numbered 1 to 154 and 146a."""
    numbers = [example.id for example in examples()]
    assert [str(n) for n in range(1, 147)] + ["146a"] + [str(n) for n in range(147, 155)] == numbers


# Rendered commands come back equal.

IDENTIFIERS = ["df", "x", "sales_2024", "données", "表", "_private", "Data"]
WORDS = [
    *IDENTIFIERS, "report.pdf", "data/*.csv", "C:\\new\\t.csv", "~/a.csv", "year=2024/", "C#.md", "https://x/a?b=1#c",
    "s3://bucket/**", 'df[["a", "b"]]', "df[1:3, 'x, y']", "f(df, lambda x, y: x)", 'f"{folder}/a, b.csv"', "a--b",
    'f"{d["k"]}.csv"', "data[0-9].csv", "{x}.csv", "[1, 2]", "a;b", "(a)+(b)", "x.(1)", "r'C:\\new'", "b'x'",
    "--odd.csv", "-1", "-x", "a“b”", "$HOME/a", "100%", "é\u0301", "df.rename(columns={'as': 'x'})",
]  # fmt: skip
SPACED = ["x + y", "await f()", "df.x > 3", "x - (-y)", "a if b else 'c d'", "not  x", "x\u00a0+\u00a0y", 'x + "a, b"']
PARENS = ["(df.T)", "(x - --y)", "(a, b)", '("a\\"b\'c")', "()", "(\u2003x )"]
TARGETS = ["a", "b", "report_id", "é", "表", "_x", "x1", "Ids"]
FSTRINGS = [Python('f"{r}.csv"'), Python("(name)"), Python("rf'{a}'"), Python('(a + "b c")')]

free_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'"), min_size=1, max_size=12)
quotable = st.one_of(free_text, free_text.map(lambda text: text.replace('"', "'")))
sources = st.one_of(
    st.sampled_from(WORDS).map(lambda text: Source("word", text)),
    quotable.map(lambda text: Source("quoted", text)),
    st.sampled_from(SPACED).map(lambda text: Source("spaced", text)),
    st.sampled_from(PARENS).map(lambda text: Source("python", text)),
    st.sampled_from([Source("notebook", ""), Source("cells", "1-5,8"), Source("cells", "7")]),
)
filenames = st.text("abcé表 .,;#-_'[](){}$=", min_size=1, max_size=8).filter(lambda text: text not in {".", ".."})
counts = st.integers(1, 64)
ages = st.integers(0, 500).map(lambda n: n * 60)
sizes = st.one_of(st.integers(1, 5_000), st.integers(1, 99).map(lambda n: n * 1_000_000))
literals = st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.none(), st.lists(st.integers(), max_size=2))
pairs = st.dictionaries(st.sampled_from(["sep", "index", "na_rep", "é"]), literals, min_size=1, max_size=3)
VALUES = {
    "FILENAME": st.one_of(filenames, st.sampled_from(FSTRINGS)),
    "MIME": st.sampled_from(["text/plain", "text/plain; charset=utf-8"]),
    "USE": st.sampled_from(["auto", "document", "container", "image"]),
    "FORMAT": st.sampled_from(["csv", "xlsx", "ods"]),
    "KEY=VALUE": pairs.map(lambda pair: tuple(pair.items())),
    "N": st.one_of(counts, st.just(Python("(n)"))),
    "GLOB": quotable,
    "SIZE": sizes,
    "ADDRESS": quotable,
    "TIME": st.integers(1, 9_999),
    "NAME": quotable,
    "PATH": quotable,
    "COLUMN": st.sampled_from(["created", "name"]),
}


def value_of(option):
    """Draw values of one option."""
    if not option.metavar:
        return st.just(option.value)
    if option.key == "expires":
        return st.one_of(st.none(), st.integers(1, 2160).map(lambda n: n * 3600))
    one = ages if option.metavar == "AGE" else VALUES[option.metavar]
    if option.metavar == "KEY=VALUE" or not option.repeatable:
        return one
    return st.lists(one, min_size=1, max_size=3).map(tuple)


VALUES_OF = {
    place: {option.name: value_of(option) for option in _options.options_for(place) if option.key != "help"}
    for place in ["upload", "cell", *(verb.name for verb in _options.VERBS)]
}


@st.composite
def options_of(draw, place):
    """Draw a few options of `place`."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES_OF[place])), unique=True, max_size=4))
    return {name: draw(VALUES_OF[place][name]) for name in names}


def is_raw(source):
    return source.kind in {"word", "spaced"} and source.text.startswith("-")


@st.composite
def uploads(draw):
    """Draw a command of %upload."""
    parts = draw(st.lists(sources, min_size=1, max_size=4))
    targets = draw(st.permutations(TARGETS))
    bound = draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    clauses = tuple(Clause(s, t if b else None) for s, t, b in zip(parts, targets, bound, strict=False))
    dashed = next((at for at, clause in enumerate(clauses) if is_raw(clause.source)), len(clauses))
    # After -- everything is a source, so the notebook's own sources cannot follow it.
    assume(not any(clause.source.kind in {"notebook", "cells"} for clause in clauses[dashed:]))
    options = draw(options_of("upload"))
    if len(clauses) > 1:
        options.pop("name", None)
    return Command("upload", clauses=clauses, options=options, hidden=draw(st.booleans()))


@st.composite
def cells(draw):
    """Draw a command of %%upload."""
    source = draw(
        st.one_of(
            filenames.map(lambda text: Source("quoted", text.replace("'", ""))).filter(lambda s: s.text.strip(".")),
            st.sampled_from(["notes.md", "C#.md", "é.txt", "a-b"]).map(lambda text: Source("word", text)),
            st.sampled_from(FSTRINGS).map(lambda python: Source("python", python.code)),
        )
    )
    clause = Clause(source, draw(st.one_of(st.none(), st.sampled_from(TARGETS))))
    return Command("cell", clauses=(clause,), options=draw(options_of("cell")), hidden=draw(st.booleans()))


ids = st.one_of(
    st.sampled_from(["file_011", "file_local_1a", "file_id"]).map(lambda text: Id("id", text)),
    quotable.map(lambda text: Id("filename", text)),
    st.sampled_from(["report_id", "ids[2:]", 'table[table.size > 3, "a b"]', "f(x, y)"]).map(lambda t: Id("python", t)),
)


@st.composite
def files_commands(draw):
    """Draw a command of %files."""
    verb = draw(st.sampled_from(_options.VERBS))
    given_ids = {
        "": st.just([]),
        "ids": st.lists(ids, min_size=1, max_size=4),
        "place": st.sampled_from(_options.PLACES).map(lambda text: [Id("place", text)]),
    }[verb.takes]
    return Command(
        "files", verb.name, ids=tuple(draw(given_ids)), options=draw(options_of(verb.name)), hidden=draw(st.booleans())
    )


commands = st.one_of(uploads(), uploads(), cells(), files_commands())
# The same trials each time, so that a change of the code is what makes them fail; the full run looks further.
thorough = {"derandomize": not FULL, "deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
SPACES = ["", " ", "  ", "\u00a0", "\t", "\u3000"]


def moved(command: Command, rng: random.Random) -> str:
    """Write `command` with its options elsewhere, odd spaces, commas between ids, and a comment."""

    def space() -> str:
        return " " + rng.choice(SPACES)

    options = [
        rng.choice([text, text.replace(" ", "=", 1), text.replace(" ", space(), 1)]) for text in render_options(command)
    ]
    if command.magic == "upload":
        raw = [is_raw(clause.source) for clause in command.clauses]
        split = raw.index(True) if True in raw else len(raw)
        before = [render_clause(clause) for clause in command.clauses[:split]]
        after = [render_clause(clause) for clause in command.clauses[split:]]
        # Options go before the first clause, between two, or behind the last; their own order stays.
        places = sorted(rng.randrange(len(before) + 1) for _ in options)
        text = ""
        for at in range(len(before) + 1):
            text += "".join(f"{space()}{o}" for o, place in zip(options, places, strict=True) if place == at)
            if at < len(before):
                text += space() + before[at] + (rng.choice(SPACES) + "," if at + 1 < len(before) else "")
        if after:
            text += f"{space()}--{space()}" + f",{space()}".join(after)
    elif command.magic == "cell":
        text = space().join([*options, render_clause(command.clauses[0])])
    else:
        bare = render(Command("files", command.verb, ids=command.ids[:1]))
        rest = [render(Command("files", command.verb, ids=(one,))).split(" ", 1)[1] for one in command.ids[1:]]
        text = rng.choice([", ", " ", " , "]).join([bare, *rest])
        text = space().join([text, *options])
    if command.hidden:
        text += rng.choice(SPACES[1:]) + ";"
    return rng.choice(SPACES) + text + rng.choice(["", " # comment, as x; --quiet", "  #", " "])


@settings(max_examples=5_000, **thorough)
@given(commands, st.integers(0, 2**32))
def test_a_rendered_command_is_read_as_the_same(command, seed):
    """What `render` writes is read as an equal command, also with options moved, odd spaces and comments."""
    parse = MAGIC[command.magic]
    assert command == parse(render(command))
    assert command == parse(moved(command, random.Random(seed)))


PIECES = [
    *WORDS, *SPACED, *PARENS, "as", "AS", ",", ";", "#", "--", "-y", "--name", "--expires", "7d", "--opt", "k=", "'",
    "(", ")", "[", "]", "{", "}", 'f"{', "}}", "\\", "\u200b", "\u202e", "\x00", "\ud800", "\n", "--cells", "0-0",
    "list", "delete", "use", "local", "file_1", "=", "<<", "yield x", "lambda", '"""', "\u201c", "-o", "--no-index",
    "--api-key", "1-" * 30, "(" * 300, "e\u0301", "--split=", "1e999999999", "--match", "**", "9" * 5000, '"',
]  # fmt: skip
hostile = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join),
)


@settings(max_examples=20_000 if FULL else 2_000, **thorough)
@given(hostile, st.sampled_from(sorted(MAGIC)))
def test_a_hostile_line_ends_in_a_command_or_a_marked_error(line, magic):
    """No line breaks the reader: it gives a command, or an error whose place lies in the line and can be drawn."""
    try:
        command = MAGIC[magic](line)
        resolve(command, Fake(["x", "f"], ["report.pdf"])) if magic != "files" else None
    except GrammarError as caught:
        error = caught
    else:
        assert command == MAGIC[magic](render(command))
        return
    assert 0 <= error.start <= error.end <= len(error.line)
    message, _, marks = caret(error).split("\n")
    assert set("^") == set(marks.strip())
    assert len(message) <= 300


# What the table of examples cannot say.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("数据 表.csv as x", ["  %upload 数据 表.csv as x", "               ^^^^^^"]),
        ("e\u0301 b.csv", ["  %upload e\u0301 b.csv", "            ^^^^^"]),
        ("df\u200b as x", ["  %upload df<U+200B> as x", "            ^^^^^^^^"]),
        ("", ["  %upload", "         ^"]),
    ],
)
def test_the_mark_stands_under_its_place(line, expected):
    """Wide characters count two columns, combining ones none, and hidden ones are spelled out."""
    with pytest.raises(GrammarError) as caught:
        parse_upload(line)
    assert expected == caret(caught.value).split("\n")[1:]


@pytest.mark.parametrize("before", [0, 50, 400])
@pytest.mark.parametrize("after", [0, 400])
def test_a_long_line_is_cut_around_its_place(before, after):
    """However long a line is, its place is seen and marked."""
    with pytest.raises(GrammarError) as caught:
        parse_upload("a" * before + " bad.csv " + "c" * after) if before else parse_upload("x bad.csv " + "c" * after)
    _, line, marks = caret(caught.value).split("\n")
    assert len(line) <= 104
    assert "bad.csv" == line[marks.index("^") : marks.rindex("^") + 1]


def test_a_key_on_the_line_is_left_out_of_the_error():
    """The error for --api-key does not repeat the key, which would be saved once more."""
    with pytest.raises(GrammarError) as caught:
        parse_upload("df --api-key sk-ant-secret")
    assert "secret" not in caret(caught.value)


@pytest.mark.parametrize(
    ("parse", "line", "message"),
    [
        (parse_upload, "df as a as b", "one name for each source; a comma stands before the next source"),
        (parse_upload, "df --quiet as x", "an option stands before this as; put options at the end"),
        (parse_upload, "sales = df", "to bind a name write df as sales"),
        (parse_upload, "df name=x.csv", "options start with two dashes: --name"),
        (parse_upload, '"a.csv" "b.csv"', 'a comma must stand before "b.csv"; a path with spaces goes in quotes'),
        (parse_upload, '"a" + x', "Python that begins with a quote goes in parentheses"),
        (parse_upload, "(a b)", "what stands in parentheses is Python, and this is not; a path goes in quotes"),
        (parse_upload, "df --", "a source is missing after --"),
        (parse_upload, "-- df --quiet", "after -- everything is a source; put options before it"),
        (parse_upload, "df --quiet=1", "--quiet takes no value"),
        (parse_upload, "df --opt sep=1 --opt sep=2", "--opt sep is given twice"),
        (parse_upload, "df --expires 1month", "--expires: write 30d"),
        (parse_upload, "df --expires 100d", "--expires must be from 1h to 90d"),
        (parse_upload, "df --timeout 90", "--timeout: say the unit: 90s or 90m"),
        (parse_upload, "df --name 'a:b.csv'", "--name: the file name a:b.csv holds :, which the Files API refuses"),
        (parse_upload, "df --format xls", "--format does not know xls; did you mean xlsx?"),
        (parse_upload, "df -q", "-q has one dash: did you mean --quiet? Python goes in parentheses"),
        (parse_upload, "df as __x__", "__x__ belongs to Python; choose another name"),
        (parse_upload, "--cells 0", "--cells counts from 1"),
        (parse_upload, "--cells 1-5,8a.csv", "--cells takes numbers and ranges without spaces: 1-5,8"),
        (parse_cell, "{day}.md", '{day} is not filled in here; write an f-string: f"{day}.md"'),
        (parse_cell, "a.md --notebook", "--notebook belongs to %upload, not to %%upload"),
        (parse_files, "list delete", "%files list takes options only; the verb stands first: %files delete"),
        (parse_files, "list -y", "-y belongs to %files delete, not to %files list"),
        (parse_files, "report_id", "say what to do with it: %files info report_id"),
        (parse_files, "use", "%files use needs a place: %files use local, or %files use anthropic"),
        (parse_files, "use locla", "%files use takes one of local and anthropic; did you mean local?"),
        (parse_files, "delete , a", "an id is missing before this comma"),
        (parse_files, "list --expires 7d", "there is no option --expires; did you mean --expiring?"),
    ],
)  # fmt: skip
def test_other_mistakes_have_their_own_advice(parse, line, message):
    """Mistakes that the page does not list say what to write instead, too."""
    with pytest.raises(GrammarError) as caught:
        parse(line)
    assert message == str(caught.value)


def test_python_values_are_checked_when_they_are_known():
    """An option's Python is evaluated by the caller and then held to the option's rules."""
    command = parse_upload('df --name f"{r}.csv" --jobs (n)')
    settled = settle(command, {'f"{r}.csv"': "a.csv", "(n)": 8}.__getitem__)
    assert {"name": "a.csv", "jobs": 8} == dict(settled.options)
    with pytest.raises(GrammarError) as caught:
        settle(command, {'f"{r}.csv"': "a/b.csv", "(n)": 8}.__getitem__)
    error = caught.value
    assert ("--name must be a file name without folders", 'f"{r}.csv"') == (
        str(error), error.line[error.start : error.end])  # fmt: skip


@pytest.mark.parametrize("magic", ["upload", "cell", "files"])
def test_help_names_every_option_and_its_examples_are_read(magic):
    """--help shows each option, and each of its examples is a valid line."""
    text = _options.help_text(magic)
    places = [magic] if magic != "files" else [verb.name for verb in _options.VERBS]
    flags = {o.flag for place in places for o in _options.options_for(place)}
    assert flags == set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))
    lines = [line.split("   ")[0].strip() for line in text.split("\n\n")[0].splitlines()]
    assert 4 <= len(lines) <= 6
    for line in lines:
        name, body = re.match(r"(?:table = )?(%\S+) ?(.*)", line).groups()
        PARSE[name](body)
