"""The command line: it parses, calls and prints; every decision is made elsewhere.

Heavy imports happen inside the commands, so that ``--help``, ``recipes`` and ``check`` answer at
once.
"""

import errno
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

import typer

from workbench import __version__
from workbench.cli import (
    curve,
    distributed,
    doctor,
    import_adapter,
    new,
    note,
    queue,
    recipes,
    results,
    run,
    setup,
    show,
    tune,
)
from workbench.cli.output import echo
from workbench.errors import FULL, RecipeError, StorageError, UsageError, WorkbenchError
from workbench.formatting import plural
from workbench.redact import without_secrets

BAD_ARGUMENTS = 2

app = typer.Typer(
    name="workbench",
    help="Fine-tune a pretrained model in several ways and compare what they cost and achieve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no rich import, no escape codes in a pipe
)

COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "new": new.new,
    "recipes": recipes.list_recipes,
    "check": recipes.check,
    "data": recipes.data,
    "plan": recipes.plan,
    "run": run.run,
    "tune": tune.tune,
    "curve": curve.curve,
    "resume": run.resume,
    "stop": run.stop,
    "launch-configs": distributed.launch_configs,
    "queue": queue.queue_app,
    "runs": show.runs,
    "show": show.show,
    "log": show.log,
    "note": note.note,
    "compare": results.compare,
    "report": results.report,
    "export": results.export,
    "predict": results.predict,
    "import": import_adapter.import_,
    "assets": setup.assets_app,
    "doctor": doctor.doctor,
    "ui": setup.ui,
}
RENAMED = {
    "--diff": "--config-diff",
    "--margin": "--min-difference",
    "--paper": "--published",
    "--texts": "--max-examples",
    "--to": "--output",
    "--write": "--output",
    "configs": "launch-configs",
}
"""Old options and commands with their new names."""

for _name, _command in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"workbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Options of every command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """As ``_run``, and says once at the end what the cache did not take."""
    code = _run(arguments)
    cache = sys.modules.get("workbench.assets.cache")  # imported by what uses it
    if cache is not None and os.environ.get("RANK", "0") == "0" and cache.refused:
        echo(cache.what_was_refused(), err=True)
        cache.refused.clear()
    return code


def _run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    0 done, 1 a run failed or something broke, 2 bad recipe or arguments, 3 refused, 130 and 143
    interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what cannot be shown is a question mark, no crash
            stream.reconfigure(errors="replace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        arguments = [argument for argument in given if argument != "--debug"]
        app(arguments, prog_name="workbench", obj=arguments)
    except SystemExit as exit:
        if exit.code == BAD_ARGUMENTS:
            for word in dict.fromkeys(argument.partition("=")[0] for argument in given):
                if word in RENAMED:
                    echo(f"{word} is now {RENAMED[word]}", err=True)
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except WorkbenchError as error:
        if debug:
            traceback.print_exc()
        _report(error, as_json="--json" in given)
        return error.exit_code
    except Exception as error:  # a defect, or the machine's trouble: nothing the user typed
        known = _of_the_system(error)
        if debug:
            traceback.print_exc()
        elif known is not None:
            _report(known, as_json="--json" in given)
        else:
            _report_unexpected(error)
        return 1 if known is None else known.exit_code
    return 0


def _of_the_system(error: Exception) -> WorkbenchError | None:
    """What the system refuses wherever it happens, in words."""
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENAMETOOLONG:
        return UsageError("a name is too long for the file system")
    if isinstance(error, OSError) and code in FULL:
        return StorageError(
            f"nothing more could be written: {error.strerror}",
            where=str(error.filename or ""),
            why="the disk of a file, or of what the output goes to, is full",
            fix="free space, then repeat the command",
        )
    return None


def _report(error: WorkbenchError, *, as_json: bool) -> None:
    problems = error.problems if isinstance(error, RecipeError) else ()
    count = len(problems)
    end = f"\n{plural(count, 'problem')}; nothing was loaded or run" if count else ""
    text = without_secrets(str(error))
    echo(f"{text}{end}" if count else f"{error.kind}: {text}", err=True)
    if as_json:
        fields = {key: getattr(error, key) for key in ("kind", "what", "where", "why", "fix")}
        document = {"error": {**fields, "problems": [vars(problem) for problem in problems]}}
        with suppress(OSError):  # stdout may be what has failed
            typer.echo(without_secrets(json.dumps(document, indent=2)))


def _report_unexpected(error: Exception) -> None:
    from workbench.assets import cache_dir

    path = cache_dir() / "errors" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    summary = " ".join(without_secrets(f"{type(error).__name__}: {error}").split())[:500]
    echo(f"unexpected error: {summary}", err=True)
    if _saved(path, without_secrets("".join(traceback.format_exception(error)))):
        echo(f"  details: {path}", err=True)
    echo("  fix: the same command with --debug shows where it happened", err=True)


def _saved(path: Path, text: str) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:  # a full or read-only disk may be the very error being reported
        return False
    return True
