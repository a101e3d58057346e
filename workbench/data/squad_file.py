"""SQuAD's own file: questions in paragraphs in articles (Rajpurkar et al. 2016, 2018)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import DataError


def is_squad(document: Mapping[str, Any]) -> bool:
    """Whether an object holds articles with paragraphs."""
    data = document.get("data")
    return isinstance(data, list) and any(isinstance(a, dict) and "paragraphs" in a for a in data)


def squad_rows(document: Mapping[str, Any], path: Path) -> list[tuple[int | str, dict[str, Any]]]:
    """One row for each question: context, question, answers, id, title.

    Rows are named by the question's id, or counted from 0 where ids are missing or not unique.

    Raises:
        DataError: an article, paragraph or question that is not as in SQuAD; says which.
    """
    rows: list[dict[str, Any]] = []
    for a, article in enumerate(document["data"]):
        place = f"data[{a}]"
        for p, paragraph in enumerate(_list(article, "paragraphs", place, path)):
            inside = f"{place}.paragraphs[{p}]"
            for q, question in enumerate(_list(paragraph, "qas", inside, path)):
                if not isinstance(question, dict):
                    raise _bad(f"{inside}.qas[{q}] is no object", path)
                rows.append(
                    {
                        "context": paragraph.get("context"),
                        "question": question.get("question"),
                        "answers": question.get("answers"),
                        "id": question.get("id"),
                        "title": article.get("title"),
                    }
                )
    ids = [row["id"] for row in rows]
    named = all(isinstance(i, str) and i for i in ids) and len(set(ids)) == len(ids)
    return [(row["id"] if named else index, row) for index, row in enumerate(rows)]


def _list(value: Any, key: str, place: str, path: Path) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise _bad(f"{place} has no list {key!r}", path)
    return found


def _bad(what: str, path: Path) -> DataError:
    return DataError(
        what,
        where=str(path),
        why="SQuAD's file has data: [{title, paragraphs: [{context, qas: [{id, question, "
        "answers: [{text, answer_start}]}]}]}]",
        fix="correct the file, or write one object per question with context, question and answers",
    )
