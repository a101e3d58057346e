"""Commands that use finished runs: ``compare``, ``report``, ``export``, ``predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.options import BASELINE_OPTION, JSON_OPTION, OUTPUT_OPTION, RUN, RUNS_OPTION
from workbench.cli.output import echo, note, print_answer, print_json, print_table
from workbench.cli.studies import ACROSS_OPTION, ACROSS_OUTPUT, check_across, compare_across
from workbench.errors import UsageError
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.comparison import Comparison

LONGEST_TEXT = 72
"""Characters of a text that the table of predictions repeats."""


PARETO_OPTION = typer.Option(
    None,
    "--pareto",
    metavar="A,B[,C]",
    help="Show the Pareto front of two or three of: metric, trainable_parameters, "
    "adapter_parameters, adapter_bytes, peak_memory_bytes, train_seconds.",
)
TESTS_OPTION = typer.Option(
    None,
    "--tests/--no-tests",
    help="Significance tests of the differences; on by default up to 60 runs.",
)
METRIC_OPTION = typer.Option(
    None, "--metric", help="Metric to test; by default the one that selected the checkpoints."
)
MARGIN_OPTION = typer.Option(
    None, "--min-difference", help="Smallest difference that matters, e.g. 0.005 for an accuracy."
)
EXPLAIN_OPTION = typer.Option(
    False, "--explain", help="Say what each conclusion of the table rests on."
)


def compare(
    paths: list[Path] | None = typer.Argument(
        None, metavar="[PATH]...", help="Folders of runs or names of studies; --runs by default."
    ),
    format: str = typer.Option("table", "--format", help="table, markdown, csv, latex or json."),
    baseline: str | None = BASELINE_OPTION,
    tests: bool | None = TESTS_OPTION,
    all_pairs: bool = typer.Option(False, "--all-pairs", help="Test all pairs of rows."),
    metric: str | None = METRIC_OPTION,
    min_difference: float | None = MARGIN_OPTION,
    pareto: str | None = PARETO_OPTION,
    config_diff: bool = typer.Option(
        False, "--config-diff", help="Show the differing recipe values instead of the scores."
    ),
    published: bool = typer.Option(
        False, "--published", help="Compare with published numbers instead; table or json."
    ),
    explain: bool = EXPLAIN_OPTION,
    across: bool = ACROSS_OPTION,
    output: Path | None = ACROSS_OUTPUT,
    runs: Path = RUNS_OPTION,
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Compare finished runs: scores, memory, time.

    Scores are means over seeds with confidence intervals and significance tests.
    """
    from workbench.comparison import compare as compare_runs

    folders = [_runs_folder(path, runs) for path in paths or [runs]]
    format = "json" if as_json else format
    switches = (each or None for each in (config_diff, published, explain))
    check_across(across, output, (tests, min_difference, pareto, *switches))
    if across:
        compare_across(folders, baseline, metric, all_pairs, format, output)
        return
    comparison = compare_runs(
        folders,
        baseline=baseline,
        tests=False if config_diff or published else tests,
        metric=metric,
        all_pairs=all_pairs,
        margin=min_difference,
        objectives=pareto.replace(" ", "").split(",") if pareto is not None else None,
    )
    option = "--published" if published else "--config-diff" if config_diff else None
    _print_comparison(comparison, option, format, explain)


def _print_comparison(
    comparison: Comparison, option: str | None, format: str, explain: bool
) -> None:
    """The scores, or what ``option`` asks for instead."""
    if explain and (format != "table" or option):
        fix = "use it with the table alone; json has the details of each verdict"
        raise UsageError("--explain with another format", fix=fix)
    if option is None:
        echo(comparison.to(format, explain=explain).rstrip("\n"))
        return
    if format not in ("table", "json"):
        raise UsageError(f"{option} with --format {format}", fix="use table or json")
    if option == "--published":
        from workbench.comparison.published import compare_with_papers

        papers = compare_with_papers(comparison)
        print_answer(format == "json", papers.document(), [papers.text()])
    else:
        from workbench.comparison.config_diff import config_differences, to_json, to_text

        found = config_differences(comparison)
        echo((to_json if format == "json" else to_text)(found).rstrip("\n"))


def report(
    paths: list[Path] | None = typer.Argument(
        None, metavar="[STUDY]...", help="Names of studies or folders of runs; --runs by default."
    ),
    output: Path = typer.Option(
        metavar="DIR", help="Folder to write; an existing report is replaced."
    ),
    baseline: str | None = BASELINE_OPTION,
    title: str | None = typer.Option(None, help="Title of the page; the studies by default."),
    max_examples: int = typer.Option(
        20, min=0, help="Test examples shown with their texts; 0 leaves out all texts."
    ),
    force: bool = typer.Option(False, help="Overwrite a folder that was not written by `report`."),
    runs: Path = RUNS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Write a report: HTML, Markdown, pictures, tables."""
    from workbench.report import write_report

    folders = [_runs_folder(path, runs) for path in paths or [runs]]
    page = write_report(
        folders, output, baseline=baseline, title=title, texts=max_examples, force=force
    ).absolute()
    print_answer(as_json, {"path": str(output), "page": str(page)}, [page])


def _runs_folder(path: Path, runs: Path) -> Path:
    """``bbc-news`` is short for ``runs/bbc-news``, unless a folder of that name here has runs."""
    from workbench.store import list_runs

    within = runs / path
    return path if not within.is_dir() or (path.is_dir() and list_runs(path)) else within


def export(
    name: str = RUN,
    output: Path = OUTPUT_OPTION,
    merge: bool = typer.Option(False, help="Write the whole model with the adapter merged in."),
    push: str | None = typer.Option(
        None, metavar="REPO", help="Also push it to this Hub repository, e.g. me/my-adapter."
    ),
    card: Path | None = typer.Option(
        None, metavar="FILE", help="Model card to use instead of the generated one."
    ),
    runs: Path = RUNS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Export a run's adapter, verified by reloading it.

    The folder loads with plain transformers and peft.
    """
    from workbench.store import find_run

    run, text = find_run(name, runs), _read(card) if card else None
    with loading_libraries():
        from workbench.adapters.export import export_run
        from workbench.adapters.export import push as push_folder

    folder = export_run(run, output, merge=merge, card=text, note=note)
    address = push_folder(folder, push) if push else None
    document = {"run": run.id, "path": str(folder), "merged": merge, "pushed": address}
    print_answer(as_json, document, filter(None, (folder, address)))


def predict(
    adapters: list[str] = typer.Argument(
        metavar="ADAPTER_OR_RUN...", help="Folders of exported adapters, or finished runs."
    ),
    text: list[str] | None = typer.Option(None, "--text", help="Text to predict. Repeatable."),
    pair: list[str] | None = typer.Option(
        None,
        "--pair",
        help="Second text of a --text: the other of a pair, or a question about it. Repeatable.",
    ),
    file: Path | None = typer.Option(
        None,
        "--file",
        help="A text file, one text a line, with a tab before a second text; - is stdin.",
    ),
    runs: Path = RUNS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Predict texts with one or several adapters.

    Tasks and methods may be mixed; each base model is loaded once.
    """
    texts, pairs = _texts(text or [], pair or [], file)
    folders = [_adapter_folder(each, runs) for each in adapters]
    with loading_libraries():
        from workbench.adapters.loaded import load_adapters, resident_bytes
        from workbench.formatting import size

    rows: list[dict[str, Any]] = []
    loaded = load_adapters(folders)
    for given, adapter in zip(adapters, loaded, strict=True):
        rows += [{"adapter": given, **answer} for answer in adapter.predict(texts, pairs)]
    if as_json:
        print_json({"predictions": rows})
        return
    headers = ["prediction", "score", *(["adapter"] if len(adapters) > 1 else []), "text"]
    headers += ["text_pair"] if any("text_pair" in row for row in rows) else []
    print_table(headers, [[_cell(header, row.get(header)) for header in headers] for row in rows])
    if len(loaded) > 1:
        note(f"{len(loaded)} adapters with their base models: {size(resident_bytes(loaded))}")


def _texts(
    texts: list[str], pairs: list[str], file: Path | None
) -> tuple[list[str], list[str] | None]:
    """The texts and, for a task on pairs, the second text of each."""
    texts, pairs = list(texts), list(pairs)
    if file is not None:
        for line in filter(str.strip, _read(file).splitlines()):
            first, tab, second = line.partition("\t")
            texts.append(first)
            pairs += [second] if tab else []
    if not texts:
        raise UsageError("no text to predict", fix="give --text TEXT or --file FILE")
    if pairs and len(pairs) != len(texts):
        what = f"{len(texts)} texts and {len(pairs)} second texts"
        raise UsageError(what, fix="give every text a second one, or none of them")
    return texts, pairs or None


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError as error:
        what = f"byte 0x{error.object[error.start]:02x} at offset {error.start} is not UTF-8"
        raise UsageError(what, where=str(file), fix="save the file as UTF-8") from None


def _adapter_folder(name: str, runs: Path) -> Path:
    """The adapter of a run, or the folder of an exported adapter."""
    from workbench.store import find_run

    path = Path(name)
    if path.is_dir() and not (path / "status.json").is_file():
        return path
    run = find_run(name, runs)
    if not run.adapter.is_dir():
        fix = f"`workbench resume {run.id}`, or name a finished run"
        raise UsageError(f"this run is {run.state} and has no adapter", where=run.id, fix=fix)
    return run.adapter


def _cell(header: str, value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, str) and header in ("text", "text_pair"):
        line = " ".join(value.split())
        return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
    return value
