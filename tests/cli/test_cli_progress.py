"""What is shown of runs while they go on."""

from __future__ import annotations

import io

from workbench.cli.output import scores
from workbench.cli.progress import CLEAR_LINE, Progress
from workbench.formatting import about


class Terminal(io.StringIO):
    """A stream that says it is a terminal, or not."""

    def __init__(self, live: bool) -> None:
        super().__init__()
        self.live = live

    def isatty(self) -> bool:
        return self.live


def test_progress_on_a_terminal_keeps_one_live_line() -> None:
    stream = Terminal(live=True)
    progress = Progress(stream, clock=lambda: 0.0)
    progress("run", {"id": "s/lora-s0", "index": 1, "of": 3})
    step = {"step": 5, "steps": 10, "epoch": 0.5, "loss": 0.25, "eta_seconds": 12.0}
    progress("progress", step)
    assert stream.getvalue() == (
        f"{CLEAR_LINE}[2/3] s/lora-s0: step 5/10  epoch 0.50  loss 0.250  12.0 s left"
    )
    progress("validation", {"step": 5, "metrics": {"accuracy": 0.9}, "best": True})
    assert stream.getvalue().endswith(
        f"{CLEAR_LINE}[2/3] s/lora-s0: validation at step 5: accuracy 0.9  (best so far)\n"
    )
    progress("progress", step)
    progress.close()
    assert stream.getvalue().endswith("left\n")
    progress("something new", {})


def test_progress_elsewhere_is_a_line_every_five_seconds() -> None:
    now = [0.0]
    stream = Terminal(live=False)
    progress = Progress(stream, clock=lambda: now[0])
    progress("run", {"id": "s/lora-s0", "index": 0, "of": 1})
    for step in range(1, 13):
        now[0] = float(step)
        progress("progress", {"step": step, "steps": 20})
    progress("finished", {"metrics": {"accuracy": 0.9}})
    progress("skipped", {"id": "s/full-s0"})
    progress("failed", {"id": "s/prompt-s0", "reason": "out of memory"})
    assert stream.getvalue().splitlines() == [
        "[1/1] s/lora-s0",
        "[1/1] s/lora-s0: step 5/20",
        "[1/1] s/lora-s0: step 10/20",
        "[1/1] s/lora-s0: finished in 12.0 s: accuracy 0.9",
        "s/full-s0: finished before, skipped",
        "s/prompt-s0: failed: out of memory",
    ]


def test_scores_are_written_in_four_digits_whatever_their_scale() -> None:
    metrics = {"accuracy": 0.96251, "perplexity": 26.913, "word_perplexity": 104_232.4, "f1": None}
    assert scores(metrics) == "accuracy 0.9625  perplexity 26.91  word_perplexity 104,232  f1 –"


def test_of_several_runs_it_says_how_long_all_take_and_each_leaves_a_row() -> None:
    now = [0.0]
    stream = Terminal(live=False)
    plan = ["q/full", "q/full", "q/lora", "g/lora"]
    progress = Progress(stream, lambda: now[0], plan)

    def at(seconds: float, kind: str, **fields: object) -> str:
        now[0] = seconds
        progress(kind, fields)
        return stream.getvalue().splitlines()[-1] if stream.getvalue() else ""

    run = {"of": 4}
    at(0, "run", id="q/full-s0-aaaaaaaa", index=0, **run)
    # Nothing is known yet, then the run's own count for itself and for those to come.
    assert at(5, "phase", phase="load") == "run 1 of 4 | q/full-s0-aaaaaaaa: load ..."
    shown = at(10, "progress", step=1, steps=10, eta_seconds=90.0)
    assert shown == (
        "run 1 of 4, about 6 min left | q/full-s0-aaaaaaaa: step 1/10  1 min 30 s left"
    )  # 90 + 3 x 100
    at(94, "validation", step=10, metrics={"accuracy": 0.9}, best=True)
    assert at(99, "phase", phase="test").startswith("run 1 of 4, about 5 min left | ")  # 3 x 99
    row = at(100, "finished", metrics={"accuracy": 0.9})
    assert row == "q/full-s0-aaaaaaaa  accuracy 0.9  (1 min 40 s)"
    # The second takes what the first took, before it counts its steps itself.
    at(100, "run", id="q/full-s1-bbbbbbbb", index=1, **run)
    assert at(110, "phase", phase="load").startswith("run 2 of 4, about 5 min left | ")  # 90 + 200
    at(200, "finished", metrics={"accuracy": 0.8})
    # LoRA is quicker: its own count is not below what runs of its study took, until it is done.
    at(200, "run", id="q/lora-s0-cccccccc", index=2, **run)
    at(210, "progress", step=1, steps=2, eta_seconds=10.0)
    at(230, "finished", metrics={"accuracy": 0.85})
    at(230, "run", id="g/lora-s0-dddddddd", index=3, **run)
    # A run of another study: the mean of all three, 77 s, and never less than nothing.
    assert at(236, "phase", phase="load").startswith("run 4 of 4, about 1 min left | ")
    assert at(400, "phase", phase="export").startswith("run 4 of 4, about 10 s left | ")


def test_an_estimate_is_no_finer_than_it_is_known() -> None:
    shown = [about(seconds) for seconds in (0, 3, 47, 54.9, 55, 125, 5399, 7200)]
    assert shown == [
        "about 10 s", "about 10 s", "about 50 s", "about 50 s", "about 1 min", "about 2 min",
        "about 1.5 h", "about 2.0 h",
    ]  # fmt: skip
