"""The adapters that can be asked: those of finished runs, and those taken in from elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from layout import runs_dir
from workbench.analysis.records import get_section
from workbench.recipe.tasks import TASK_SPECS, TaskSpec
from workbench.store import list_runs, open_regular, read_json

ABOUT = "workbench.json"
_EXAMPLES = 400


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An exported folder that a question can be put to."""

    key: str
    """What the address bar and the boxes call it: the run's id, or ``imported/FOLDER``."""
    folder: Path
    name: str
    """What a person calls it."""
    about: str
    """Where it comes from and what it stands on, in a few words."""
    method: str = ""
    """Of its run; empty where none is known."""

    @property
    def stated(self) -> dict[str, Any]:
        """What its ``workbench.json`` says; empty when it cannot be read."""
        return read_json(self.folder / ABOUT) or {}

    @property
    def task(self) -> str:
        return str(get_section(self.stated, "task").get("name") or "")

    @property
    def spec(self) -> type[TaskSpec] | None:
        """What is known of that task; None for a folder that cannot be read."""
        return TASK_SPECS.get(self.task)

    @property
    def view(self) -> str:
        return self.spec.view if self.spec else ""

    @property
    def base(self) -> str:
        return str(self.stated.get("base") or "")

    @property
    def version(self) -> int:
        """Changes when the folder is written anew."""
        try:
            return (self.folder / ABOUT).stat().st_mtime_ns
        except OSError:
            return 0


def find_adapters() -> dict[str, Adapter]:
    """All that can be asked, by key: finished runs, then the imported ones."""
    found: dict[str, Adapter] = {}
    for run in list_runs(runs_dir()):
        if run.state == "finished" and (run.adapter / ABOUT).is_file():
            seed = run.status.get("seed")
            name = str(run.status.get("recipe") or run.path.name)
            words = [run.path.parent.name, run.result.get("model")]
            found[run.id] = Adapter(
                key=run.id,
                folder=run.adapter,
                name=name if seed is None else f"{name}, seed {seed}",
                about=" · ".join(str(word) for word in words if word),
                method=str(run.status.get("method") or ""),
            )
    for folder in sorted(imported_dir().glob("*")):
        if (folder / ABOUT).is_file():
            key = f"imported/{folder.name}"
            found[key] = Adapter(key=key, folder=folder, name=folder.name, about="imported")
    return found


def imported_dir() -> Path:
    """Where `workbench import` puts adapters, beside the runs."""
    return runs_dir().parent / "adapters"


def examples_of(adapter: Adapter) -> list[dict[str, str]]:
    """Texts of the test split of a run's adapter with their labels; none for an imported one."""
    try:
        opened = open_regular(adapter.folder.parent / "predictions.parquet")
        with opened, parquet.ParquetFile(opened) as file:
            names = [n for n in ("text", "text_pair", "label") if n in file.schema_arrow.names]
            (batch, *_) = file.iter_batches(batch_size=_EXAMPLES, columns=names)
    except (OSError, ValueError):
        return []
    rows: list[dict[str, Any]] = batch.to_pylist()
    return [{name: str(value or "") for name, value in row.items()} for row in rows]


def takes_a_second_text(adapter: Adapter) -> bool:
    """Whether it answers questions about texts, or was trained on pairs of texts."""
    need = adapter.spec.second_text if adapter.spec else "unread"
    if need == "required":
        return True
    if need == "unread":
        return False
    try:
        path = adapter.folder.parent / "predictions.parquet"
        return "text_pair" in parquet.read_schema(path).names
    except (OSError, ValueError):
        return False
