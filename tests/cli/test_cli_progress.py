"""What is shown of runs while they go on."""

from __future__ import annotations

import io

from workbench.cli.output import scores
from workbench.cli.progress import CLEAR_LINE, Progress


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
