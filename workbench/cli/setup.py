"""Commands around the runs: ``assets`` and ``ui``."""

from pathlib import Path

import typer

from workbench.cli.options import JSON_OPTION, RUNS_OPTION
from workbench.cli.output import note, print_answer, print_json, print_table
from workbench.heavy_imports import loading_libraries

assets_app = typer.Typer(
    help="List and fetch the embedded models and data.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@assets_app.callback()
def assets(context: typer.Context, as_json: bool = JSON_OPTION) -> None:
    """List the embedded models and data: licence, size, hash, cached or not."""
    if context.invoked_subcommand is not None:
        return
    from workbench.assets import listing
    from workbench.formatting import size

    rows = listing()
    if as_json:
        print_json({"assets": rows})
        return
    headers = ("name", "kind", "state", "download", "licence", "sha256", "about")
    for row in rows:
        row |= {"name": f"asset:{row['name']}", "sha256": row["sha256"][:12]}
        row["download"] = size(row["download_bytes"])
    print_table(headers, [[row[key] for key in headers] for row in rows], right="download")


@assets_app.command()
def pull(
    name: list[str] = typer.Argument(help="Names of assets, with or without 'asset:'."),
    verify: bool = typer.Option(False, help="Check the hashes of cached files again."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Fetch assets into the cache, hash-checked. Prints their folders."""
    from workbench.assets import fetch, get

    names = [each.removeprefix("asset:") for each in name]
    for each in names:
        get(each)  # an unknown name is found before anything is fetched
    with loading_libraries():  # which a model that is prepared imports
        folders = {each: fetch(each, progress=note, verify=verify) for each in names}
    document = {"assets": [{"name": n, "path": str(p)} for n, p in folders.items()]}
    print_answer(as_json, document, folders.values())


def ui(
    runs: Path = RUNS_OPTION,
    port: int = typer.Option(8501, min=1, max=65535, help="Port on this machine."),
    address: str = typer.Option("127.0.0.1", help="Address to bind to."),
    expose: bool = typer.Option(
        False, help="Allow another address than this machine's own; nothing is encrypted."
    ),
) -> None:
    """Serve the browser app on this machine."""
    from workbench.cli.ui_server import serve

    raise typer.Exit(serve(runs, port, address, expose=expose))
