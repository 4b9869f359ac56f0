"""The magics ``%upload``, ``%%upload`` and ``%files``: IPython's side of `_commands.py`.

Parses the line, turns errors into one line without a traceback (Run All stops all the same), hides what a ``;`` hides,
completes words, and comes and goes without a trace. Everything heavy is imported when a magic runs.
"""

from __future__ import annotations

import dis
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand

from nbfiles._config import settings
from nbfiles._errors import Error, GrammarError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

    from nbfiles._command import Command
    from nbfiles._commands import Notebook
    from nbfiles._completion import Completions
    from nbfiles._options import Magic

F = TypeVar("F")


def _page(magic: Magic) -> str:
    """Return the help page of `magic`."""
    from nbfiles._options import help_text

    return help_text(magic)


def _documented(magic: Magic) -> Callable[[F], F]:
    """Give a magic its page for ``%upload?``.

    IPython asks for ``getdoc`` before it looks at the docstring, so the page is made only then and loading stays cheap.
    The first line of a docstring loses its indent, so an empty one stands before the page.
    """

    def mark(method: F) -> F:
        vars(method)["getdoc"] = lambda: f"\n{_page(magic)}"
        return method

    return mark


@magics_class
class FileMagics(Magics):
    """``%upload``, ``%%upload`` and ``%files``."""

    @_documented("upload")
    @no_var_expand
    @needs_local_scope
    @line_magic
    def upload(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Upload files and what is in variables. ``%upload?`` shows the page made from the table of options."""
        from nbfiles._grammar import parse_upload

        def work(command: Command) -> Any:
            from nbfiles import _commands

            return _commands.upload(command, self._notebook(local_ns))

        return self._do(lambda: parse_upload(line), work)

    @_documented("cell")
    @no_var_expand
    @needs_local_scope
    @cell_magic("upload")  # type: ignore[arg-type]  # annotated for the form without a name only
    def upload_cell(self, line: str, cell: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Upload the cell's text. ``%%upload?`` shows the page made from the table of options."""
        from nbfiles._grammar import parse_cell

        def work(command: Command) -> Any:
            from nbfiles import _commands

            return _commands.upload(command, self._notebook(local_ns), cell)

        return self._do(lambda: parse_cell(line), work)

    @_documented("files")
    @no_var_expand
    @needs_local_scope
    @line_magic
    def files(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        """List and look after files. ``%files?`` shows the page made from the table of options."""
        from nbfiles._grammar import parse_files

        def work(command: Command) -> Any:
            from nbfiles import _commands

            return _commands.files(command, self._notebook(local_ns))

        return self._do(lambda: parse_files(line), work)

    def _do(self, parse: Callable[[], Command], work: Callable[[Command], Any]) -> Any:
        """Parse and work; say what goes wrong in one line; return None where a ``;`` hides the result."""
        failure: BaseException
        try:
            command = parse()
            if command.options.get("help"):
                print(_page(command.magic))  # help is text, for a terminal too
                return None
            hidden = (command.hidden or command.options.get("quiet")) and _would_be_shown()
            result = work(command)  # whose end is to bind the names: what comes after may be interrupted, and too late
        except InputError as error:
            failure = _usage(error)
        except Error as error:
            failure = _in_one_line(error)
        except KeyboardInterrupt:
            # A new one, without the frames it went through: to render those of pandas takes IPython most of a second.
            failure = KeyboardInterrupt()
            failure._render_traceback_ = lambda: ["KeyboardInterrupt: stopped"]  # type: ignore[attr-defined]  # IPython's hook
        else:
            return None if hidden else result
        raise failure from None

    def _notebook(self, local_ns: Mapping[str, Any] | None) -> Notebook:
        from IPython.display import display

        from nbfiles._commands import Notebook

        shell: Any = self.shell
        local = {} if local_ns is None or local_ns is shell.user_ns else dict(local_ns)
        return Notebook(
            names=shell.user_ns,
            local=local,
            show=display,
            ask=_ask,
            path=lambda: _path(shell),
            inputs=lambda: _inputs(shell),
        )


def _ask(question: str) -> str | None:
    """Ask the person at the notebook; None if there is nobody (nbconvert, papermill)."""
    try:
        return input(question)
    except (EOFError, StdinNotImplementedError):
        return None


def _path(shell: Any) -> str | None:
    """Return where the notebook's file is, if the front end says so; Jupyter's server does, and VS Code."""
    for path in (shell.user_ns.get("__vsc_ipynb_file__"), os.getenv("JPY_SESSION_NAME")):
        if isinstance(path, str) and path.endswith(".ipynb"):
            here = os.path.basename(path)  # noqa: PTH119  the kernel stands in the notebook's folder
            return path if os.path.isfile(path) else here if os.path.isfile(here) else None  # noqa: PTH113  never raises
    return None


def _inputs(shell: Any) -> list[str]:
    """Return what was typed into each cell, magics as they were typed; In holds what they were turned into."""
    return list(shell.history_manager.input_hist_raw)


def _usage(error: InputError) -> UsageError:
    """Return the error that IPython shows as one line (and a caret line), without a traceback."""
    from nbfiles._caret import caret
    from nbfiles._receipt import error_line

    return UsageError(caret(error) if isinstance(error, GrammarError) else error_line(error, colour=False))


def _in_one_line(error: Error) -> Error:
    """Make IPython show `error` as one line. It stays what it is: ``except nbfiles.UploadError`` catches it."""
    from nbfiles._receipt import error_line

    error._render_traceback_ = _Line(error_line(error))  # type: ignore[attr-defined]  # IPython's hook
    return error.with_traceback(None)


class _Line:
    """A line in place of a traceback; unlike a lambda it can be pickled with its error."""

    def __init__(self, line: str) -> None:
        self._line = line

    def __call__(self) -> list[str]:
        return [self._line]


def _would_be_shown() -> bool:
    """Whether the value of the magic call would be printed, as that of a cell's last expression is.

    The line ``t = %upload df;`` must still give ``t`` its table, so the code that calls the magic is asked what it does
    next: it prints (``PRINT_EXPR``, from 3.12 on an intrinsic of that name), or it does something with the value.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # the documented way to one's callers
    while frame is not None and frame.f_code.co_name not in {"run_line_magic", "run_cell_magic"}:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_name in {"run_line_magic", "run_cell_magic"}:
        frame = frame.f_back
    if frame is None:
        return False
    following = (code for code in dis.get_instructions(frame.f_code) if code.offset > frame.f_lasti)
    instruction = next(following, None)
    return instruction is not None and (
        instruction.opname == "PRINT_EXPR"
        or (instruction.opname == "CALL_INTRINSIC_1" and instruction.argrepr == "INTRINSIC_PRINT")
    )


# ---- coming and going ------------------------------------------------------------------------------------------------

_KEY = "_nbfiles"  # what loading leaves in the shell, so that unloading finds it


class _Loaded:
    """What loading put into one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.magics = FileMagics(shell)
        self.config = settings()  # always the same: what a client was made with is what %config NbFiles changes
        self.config.parent, self.config.config = shell, shell.config
        self.completer = _completer(shell)


def load(shell: InteractiveShell) -> None:
    """Register the magics, the settings and the completer; nothing if they are there."""
    if getattr(shell, _KEY, None) is not None:
        return
    loaded = _Loaded(shell)
    shell.register_magics(loaded.magics)
    configurables: list[Any] = shell.configurables
    configurables.append(loaded.config)
    matchers = _matchers(shell)
    if matchers is not None:
        matchers.append(loaded.completer)
    setattr(shell, _KEY, loaded)


def unload(shell: InteractiveShell) -> None:
    """Take out what `load` put in; the local Files API ends, ids that are bound stay."""
    loaded = getattr(shell, _KEY, None)
    if loaded is None:
        return
    for kind, names in (("line", ("upload", "files")), ("cell", ("upload",))):
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop("FileMagics", None)
    for configurable in (loaded.config, loaded.magics):  # every `Magics` adds itself when it is made
        shell.configurables.remove(configurable)
    loaded.config.parent = None
    matchers = _matchers(shell)
    if matchers is not None and loaded.completer in matchers:
        matchers.remove(loaded.completer)
    if "nbfiles._local_process" in sys.modules:
        sys.modules["nbfiles._local_process"].LOCAL.stop()
    delattr(shell, _KEY)


def _matchers(shell: InteractiveShell) -> list[Any] | None:
    """Return the completer's list of further matchers; a shell without a completer has none."""
    return getattr(getattr(shell, "Completer", None), "custom_matchers", None)


def _completer(shell: InteractiveShell) -> Callable[..., Any]:
    """Return the matcher of our lines, in the newest form that this IPython knows."""

    def found(line: str) -> Completions | None:
        from nbfiles._completion import complete
        from nbfiles._results import latest

        table = latest()
        return complete(line, shell.user_ns, () if table is None else table["id"].tolist())

    try:  # IPython 8.6 and later: a matcher may say what it replaces, and that nobody else is wanted
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:

        def nbfiles_matcher(text: str) -> list[str]:
            offer = found(shell.Completer.text_until_cursor)
            if offer is None or not offer.fragment.endswith(text):
                return []
            before = offer.fragment.removesuffix(text)  # it splits words at quotes and spaces, and asks for the rest
            return [word.removeprefix(before) for word in offer.words if word.startswith(before)]

        return nbfiles_matcher

    def nbfiles_context_matcher(context: Any) -> dict[str, Any]:
        offer = found(context.text_until_cursor)
        if offer is None:
            return {"completions": []}
        completions = [SimpleCompletion(word, type="magic") for word in offer.words]
        return {"completions": completions, "matched_fragment": offer.fragment, "suppress": True, "ordered": True}

    matcher: Callable[..., Any] = context_matcher()(nbfiles_context_matcher)
    return matcher
