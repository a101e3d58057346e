"""Data as people have it, written to files."""

from __future__ import annotations

import csv
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WORDS = {
    "positive": "wonderful lovely great superb charming".split(),
    "negative": "awful boring dreadful terrible dull".split(),
    "neutral": "average ordinary plain usual middling".split(),
}
THINGS = "film story acting music plot scene camera dialogue ending cast".split()


def sentence(draw: random.Random, words: Sequence[str], number: int = 0) -> str:
    """A sentence that is not written twice."""
    thing, other = draw.sample(THINGS, 2)
    return f"The {thing} was {draw.choice(words)} and so was the {other} of number {number}."


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A csv or jsonl file."""
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def reviews(path: Path, count: int = 600) -> Path:
    """Three classes, of which one has a slip and one a space; ten rows have none."""
    draw = random.Random(0)
    rows = []
    for i in range(count):
        label = draw.choice(list(WORDS))
        text = sentence(draw, WORDS[label], i)
        if label == "positive" and i % 13 == 0:
            label = "pos"
        elif label == "positive" and i % 7 == 0:
            label = "positive "
        if i % 60 == 7:
            label = ""
        rows.append({"id": i, "review": text, "stars": label, "author": f"author {i % 48}"})
    return write_rows(path, rows)


def clean_reviews(path: Path, count: int = 120) -> Path:
    draw = random.Random(0)
    names = [name for _ in range(count) for name in WORDS][:count]
    return write_rows(
        path,
        [{"review": sentence(draw, WORDS[n], i), "stars": n} for i, n in enumerate(names)],
    )


def pairs(path: Path) -> Path:
    draw = random.Random(0)
    return write_rows(
        path,
        [
            {
                "first": sentence(draw, WORDS["positive"], i),
                "second": sentence(draw, WORDS["negative"], i),
                "same": draw.choice(["yes", "no"]),
            }
            for i in range(80)
        ],
    )


def conll(path: Path) -> Path:
    draw = random.Random(0)
    lines = []
    for i in range(60):
        lines += [f"Rome{i} B-LOC", "fell O", f"{draw.choice(THINGS)} O", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def squad(path: Path) -> Path:
    """Two questions about each context; some have no answer."""
    paragraphs = []
    for i in range(40):
        context = f"In the year {1000 + i} the old town of number {i} burned down to the ground."
        answers = [{"text": str(1000 + i), "answer_start": context.index(str(1000 + i))}]
        questions = [
            {"id": f"{i}a", "question": f"When did town {i} burn?", "answers": answers},
            {"id": f"{i}b", "question": f"Who lit town {i}?", "answers": []},
        ]
        paragraphs.append({"context": context, "qas": questions})
    document = {"version": "v2", "data": [{"title": "Towns", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def prompts(path: Path) -> Path:
    draw = random.Random(0)
    return write_rows(
        path,
        [
            {
                "prompt": sentence(draw, WORDS["neutral"], i),
                "completion": f"Number {i} is all right then.",
            }
            for i in range(60)
        ],
    )


def zip_of_folders(path: Path) -> Path:
    draw = random.Random(0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/reviews/good/._1.txt", "no text")
        archive.writestr("reviews/about.yaml", "no: recipe")
        for label in ("good", "bad"):
            for i in range(40):
                words = WORDS["positive" if label == "good" else "negative"]
                archive.writestr(f"reviews/{label}/{i:02}.txt", sentence(draw, words, i))
    return path


KINDS: dict[str, tuple[Callable[[Path], Path], dict[str, Any], dict[str, Any]]] = {
    "reviews.csv": (
        reviews,
        {"name": "text-classification"},
        {"text": "review", "label": "stars", "group": "author"},
    ),
    "pairs.csv": (
        pairs,
        {"name": "text-classification"},
        {"text": "first", "text_pair": "second", "label": "same"},
    ),
    "entities.conll": (conll, {"name": "token-classification"}, {}),
    "questions.json": (
        squad,
        {"name": "question-answering", "allow_no_answer": True},
        {"text": "context", "text_pair": "question", "label": "answers", "group": "context"},
    ),
    "prompts.jsonl": (prompts, {"name": "instruction"}, {"text": "prompt", "label": "completion"}),
    "reviews.zip": (zip_of_folders, {"name": "text-classification"}, {}),
}
"""How each kind is written, and what it is for."""


def write_study(folder: Path, base: str, methods: Sequence[str] = ("full", "lora")) -> Path:
    """A study as New study writes it: what its recipes share, and one for each method."""
    folder.mkdir(parents=True)
    (folder / "_base.yaml").write_text(base, encoding="utf-8")
    for name in methods:
        text = f"base: _base.yaml\nmethod: {{name: {name}}}\n"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder
