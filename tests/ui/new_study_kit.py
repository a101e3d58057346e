"""Own data and a stand-in for its plan, for the tests of New study."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from opening import texts
from streamlit.testing.v1 import AppTest

SETTLED = {"drop": "1", "merge": "pos=positive"}
WORDS = "film story acting music plot scene camera dialogue ending cast".split()


def write_reviews(tmp_path: Path) -> str:
    """Three classes, one of them with a slip; two rows have none. Uploaded before."""
    path = tmp_path / "my-data" / "reviews.jsonl"
    path.parent.mkdir()
    rows = []
    for i in range(150):
        label = ("positive", "negative", "neutral")[i % 3]
        text = f"The {WORDS[i % 10]} of number {i} was what one calls {label} at best"
        label = "pos" if i in (0, 30) else "" if i in (4, 40) else label
        rows.append({"review": text, "stars": label, "author": f"p{i % 30}"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path.name


def stand_in_for_plans(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Plans without torch; the words that asked for them."""
    from new_study import plan_step
    from workbench.new_study import files_of, inspect
    from workbench.new_study.study import Inspected

    asked: list[list[str]] = []

    def ask(words: list[str]) -> dict[str, object]:
        asked.append(words)
        folder = Path(words[words.index("--runs") + 1]).parent / "my-recipes" / words[1]
        found: Inspected = made[-1]
        draft = found.checked.draft
        plans = [
            {"recipe": name, "trainable_parameters": 7, "steps": 5, "train_seconds": 30.0,
             "peak_memory_bytes": 2e8, "fits": True}
            for name in draft.own
        ]  # fmt: skip
        return {
            "folder": str(folder),
            "command": draft.choices.command(),
            "plans": plans,
            "shows": "3 seeds show something",
            "notes": [],
            "files": files_of(draft, folder),
        }

    made: list[Inspected] = []

    def remembered(*arguments: object) -> Inspected:
        made.append(inspect(*arguments))
        return made[-1]

    monkeypatch.setattr(plan_step, "ask", ask)
    monkeypatch.setattr("workbench.new_study.inspect", remembered)
    return asked


def settled(app: AppTest) -> AppTest:
    deadline = time.monotonic() + 20
    while "Planning:" in texts(app) and time.monotonic() < deadline:
        time.sleep(0.1)
        app.run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if label in b.label).click().run()
    assert not app.exception
    return app


def box(app: AppTest, label: str):
    return next(w for w in app.selectbox if w.label == label)
