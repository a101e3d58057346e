"""``make torture``: events befall tiny runs, and after each nothing may be lost or torn.

Each row of the crash matrix is tried so many times, on a tiny BERT and a tiny GPT-2 with four
methods each, in real processes. Prints a table; the exit code is 1 when something did not hold.
"""

from __future__ import annotations

import os

# Before torch is imported: a process that has used its threads cannot be forked.
os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from tests.torture.cells import CELLS, make_cells  # noqa: E402
from tests.torture.rows import ROWS  # noqa: E402
from tests.torture.running import Outcome, run_trials  # noqa: E402
from tests.torture.table import as_json, print_table  # noqa: E402


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="trials of a row (default 50)")
    parser.add_argument("--rows", default=",".join(names), help="e.g. K1,K2 (default: all)")
    parser.add_argument("--cells", default=",".join(CELLS), help="e.g. bert-lora (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="trials at once")
    parser.add_argument("--out", type=Path, help="JSON file for every single trial")
    parser.add_argument("--keep", type=Path, help="where the folders of failed trials go")
    arguments = parser.parse_args()
    chosen = arguments.rows.split(",")
    if unknown := set(chosen) - set(names):
        parser.error(f"no rows {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    cells_chosen = arguments.cells.split(",")
    if unknown := set(cells_chosen) - set(CELLS):
        parser.error(f"no cells {', '.join(sorted(unknown))}; there are {', '.join(CELLS)}")
    rows = [row for row in ROWS if row.name in chosen]
    # What a shell starts in the background ignores Ctrl-C, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    evidence = arguments.keep or Path(tempfile.mkdtemp(prefix="torture-failed-"))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        os.environ["WORKBENCH_CACHE"] = str(Path(folder) / "cache")
        print("training what the rest is compared with", file=sys.stderr)
        Path(folder).chmod(0o755)
        cells = make_cells(Path(folder), cells_chosen)
        gc.collect()
        gc.freeze()  # what is imported is copied into no child by its garbage collector
        prepared = time.monotonic() - started
        plan = [(row, index) for row in rows for index in range(row.times(arguments.times))]
        outcomes: list[Outcome] = run_trials(
            plan, cells, Path(folder), evidence, arguments.seed, arguments.workers
        )
    seconds = time.monotonic() - started
    print_table(rows, outcomes, seconds, prepared)
    if arguments.out:
        arguments.out.write_text(json.dumps(as_json(outcomes, seconds), indent=2) + "\n")
    failed = any(outcome.faults for outcome in outcomes)
    if failed:
        print(f"\nwhat failed is kept in {evidence}")
    elif not arguments.keep:
        evidence.rmdir()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
