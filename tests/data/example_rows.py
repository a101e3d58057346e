"""Rows for tests that only need some."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def distinct_rows(count: int, classes: int = 2, **more: Any) -> list[dict[str, Any]]:
    """Rows with texts of their own and classes c0, c1, ... in turn."""
    return [{"text": f"text {i}", "label": f"c{i % classes}", **more} for i in range(count)]


ROWS = [(f"a text, number {i}", "pos" if i % 2 else "neg") for i in range(40)]


def csv_text(rows=ROWS, header=("text", "label"), delimiter=",", end="\n") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerows([header, *rows])
    return out.getvalue()


def as_parquet(path: Path, **columns) -> Path:
    pq.write_table(pa.table(columns), path)
    return path
