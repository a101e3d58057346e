"""Questions and answers: SQuAD's form and plain texts, and answers that do not fit."""

from __future__ import annotations

import json

import datasets
import pandas as pd
import pytest
from datasets import Dataset

TASK = "question-answering"
KEYS = {"text": "context", "text_pair": "question", "label": "answers"}


def asked(i, answers=None):
    context = f"Model {i} was built in Paris in {1900 + i}."
    year = str(1900 + i)
    right = {"text": [year], "answer_start": [context.index(year)]}
    return {
        "context": context,
        "question": f"When was {i} built?",
        "answers": right if answers is None else answers,
    }


ROWS = [asked(i) for i in range(20)]


@pytest.fixture
def load_answers(load):
    return lambda source, **keys: load(source, TASK, **(KEYS | keys))


@pytest.fixture
def refuse(refusal):
    return lambda source, **keys: refusal(source, task=TASK, **(KEYS | keys))


def by_question(data):
    return {
        question: labels
        for split in (data.train, data.validation, data.test)
        for question, labels in zip(split.pairs, split.labels, strict=True)
    }


def test_the_form_of_squad(load_answers, write):
    data = load_answers(write("x.jsonl", ROWS))
    assert data.label_names == ()
    assert data.train.texts[0].startswith("Model ")
    assert by_question(data)["When was 7 built?"] == ((30, "1907"),)


def test_several_answers_none_and_one_object_each(load_answers, write):
    rows = [
        *ROWS,
        asked(30, {"text": ["Paris", "in Paris"], "answer_start": [22, 19]}),
        asked(31, {"text": [], "answer_start": []}),
        asked(32, [{"text": "Paris", "answer_start": 22}]),
        asked(33, []),
    ]
    labels = by_question(load_answers(write("x.jsonl", rows)))
    assert labels["When was 30 built?"] == ((22, "Paris"), (19, "in Paris"))
    assert labels["When was 31 built?"] == labels["When was 33 built?"] == ()
    assert labels["When was 32 built?"] == ((22, "Paris"),)


def test_the_hub_s_columns(load_answers, monkeypatch):
    table = Dataset.from_list([*ROWS, asked(31, {"text": [], "answer_start": []})])
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    labels = by_question(load_answers("rajpurkar/squad_v2"))
    assert labels["When was 7 built?"] == ((30, "1907"),)
    assert labels["When was 31 built?"] == ()


def test_plain_texts_are_looked_up(load_answers, write):
    lines = [f"{r['context']},{r['question']},{r['answers']['text'][0]}" for r in ROWS]
    lines.append("A rose is a rose is a rose.,What is it?,rose")
    lines.append("Nothing here.,What is there?,")
    data = load_answers(write("x.csv", "\n".join(["context,question,answers", *lines])))
    labels = by_question(data)
    assert labels["When was 7 built?"] == ((30, "1907"),)
    assert labels["What is it?"] == ((2, "rose"),)
    assert labels["What is there?"] == ()
    assert data.notes == (
        "1 of 22 answers occur more than once in their context; the first place is taken for the "
        "right one.",
    )


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Paris", " 1930"]},
        [{"text": "Paris"}, {"text": "1930"}],
        [{"text": "Paris", "answer_start": None}, {"text": "1930", "answer_start": 31}],
        '{"text": ["Paris", "1930"]}',
    ],
)
def test_answers_without_a_start_are_looked_up(load_answers, refuse, write, answers):
    data = load_answers(write("x.jsonl", [*ROWS, asked(30, answers)]))
    assert by_question(data)["When was 30 built?"] == ((22, "Paris"), (31, "1930"))
    rows = [*ROWS, asked(30, answers) | {"context": "Rome is in Italy, not 1930 and 1930."}]
    message = refuse(write("x.jsonl", rows))
    assert "an answer that does not occur in its context" in message and "x.jsonl:21" in message
    twice = {"context": "Paris was not in Paris in 1930.", "question": "?"}
    data = load_answers(write("x.jsonl", [*ROWS, twice | {"answers": [{"text": "Paris"}]}]))
    assert by_question(data)["?"] == ((0, "Paris"),)
    assert data.notes[0].startswith("1 of 21 answers occur more than once in their context")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"text": ["Paris"], "answer_start": [21]},
         "an answer that does not stand at its answer_start in column 'answers', 1 of 21 rows: "
         "x.jsonl:21 (\"Paris at 21: there stands ' Pari'\")"),
        ({"text": ["Rome"], "answer_start": [22]}, "(0 of these answers stand"),
        ({"text": ["Paris"], "answer_start": [999]}, "there stands ''"),
        ("Rome", "an answer that does not occur in its context"),
        ({"text": ["Paris"], "answer_start": []}, "something that is not an answer"),
        ({"text": ["Paris"], "answer_start": [-1]}, "something that is not an answer"),
        ({"text": ["Paris"], "answer_start": ["22"]}, "something that is not an answer"),
        ({"text": [""], "answer_start": [0]}, "something that is not an answer"),
        ({"text": "Paris", "answer_start": 22}, "something that is not an answer"),
        ({"answers": []}, "something that is not an answer"),
        (["Paris"], "something that is not an answer"),
        (22, "something that is not an answer"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit(refuse, write, answers, words):
    message = refuse(write("x.jsonl", [*ROWS, asked(30, answers)]))
    assert words in message and "x.jsonl:21" in message


def test_offsets_count_characters(load_answers, write):
    emoji = {"context": "🙂 in Rome", "question": "Where?"}
    right = emoji | {"answers": {"text": ["Rome"], "answer_start": [5]}}
    assert by_question(load_answers(write("x.jsonl", [*ROWS, right])))["Where?"] == ((5, "Rome"),)


def test_questions_are_needed(refuse, write):
    path = write("x.jsonl", ROWS)
    assert "data.text_pair: no column with the questions" in refuse(path, text_pair=None)
    assert "no column 'frage'" in refuse(path, text_pair="frage")
    rows = [*ROWS, asked(30) | {"question": " "}]
    assert "empty text in column 'question', 1 of 21 rows" in refuse(write("x.jsonl", rows))


def test_nothing_but_unanswerable_questions_is_refused(refuse, write):
    rows = [asked(i, "") for i in range(20)]
    assert "none of the 14 questions of train has an answer" in refuse(write("x.jsonl", rows))


def test_a_context_in_train_and_test_is_noted(load_answers, write, tmp_path):
    write("d/train.jsonl", ROWS)
    write("d/test.jsonl", [asked(0) | {"question": "Built when?"}, asked(77)])
    data = load_answers(tmp_path / "d", splits={"train": "train", "test": "test"},
                        validation_size=None)  # fmt: skip
    assert data.notes == (
        "1 of 2 test questions are about a context that train asks about too: scores on test may "
        "be too good for new contexts; data.group: context keeps them apart.",
    )
    assert data.duplicates_removed == 0


def test_content_hash_sees_answers(load_answers, write):
    base = load_answers(write("x.jsonl", ROWS)).content_hash
    as_text = [row | {"answers": row["answers"]["text"][0]} for row in ROWS]
    assert load_answers(write("x.json", json.dumps(as_text))).content_hash == base
    other = [asked(0, "Paris"), *ROWS[1:]]
    assert load_answers(write("x.jsonl", other)).content_hash != base


def test_answers_written_as_text_in_a_csv_cell_are_read(load_answers, tmp_path):
    """pandas writes a dict as Python shows it; others write JSON."""
    listed = pd.DataFrame([asked(i) if i else asked(i, {"text": [], "answer_start": []})
                           for i in range(20)])  # fmt: skip
    expected = {r.question: tuple(zip(r.answers["answer_start"], r.answers["text"], strict=True))
                for r in listed.itertuples()}  # fmt: skip
    listed.to_csv(tmp_path / "python.csv", index=False)
    listed.assign(answers=listed.answers.map(json.dumps)).to_csv(tmp_path / "json.csv", index=False)
    for name in ("python.csv", "json.csv"):
        assert by_question(load_answers(tmp_path / name)) == expected


def test_answers_that_only_look_like_a_structure_are_texts(load_answers, write):
    rows = [*ROWS, {"context": "See [1] or {2}.", "question": "Which?", "answers": "{2}"}]
    assert by_question(load_answers(write("x.jsonl", rows)))["Which?"] == ((11, "{2}"),)


@pytest.mark.parametrize(
    "cell",
    [
        "{'text': array(['476'], dtype=object), 'answer_start': array([13])}",
        '{"text": ["476"], "answer_start": [13]',
        '{"text": "476"}',
    ],
)
def test_cells_that_are_half_a_structure_are_refused_with_the_form(refuse, tmp_path, cell):
    rows = [{**row, "answers": json.dumps(row["answers"])} for row in ROWS]
    rows[3]["answers"] = cell
    pd.DataFrame(rows).to_csv(tmp_path / "x.csv", index=False)
    message = refuse(tmp_path / "x.csv")
    assert "something that is not an answer in column 'answers', 1 of 20 rows: x.csv:5" in message
    assert "an answer is" in message


@pytest.mark.parametrize("allowed", [False, True])
def test_the_best_reachable_score_is_said_where_questions_have_no_answer(
    load_answers, write, tmp_path, allowed
):
    write("d/train.jsonl", ROWS)
    held = [{**asked(i + 50), **({"answers": ""} if i % 4 else {})} for i in range(8)]
    write("d/test.jsonl", held)
    data = load_answers(
        tmp_path / "d", splits={"train": "train", "test": "test"}, allow_no_answer=allowed
    )
    said = [note for note in data.notes if "have no answer" in note]
    assert len(said) == (not allowed)
    if said:
        assert said[0].startswith("6 of 8 test questions have no answer")
        assert "right answers to all others give 0.250" in said[0]


def test_contexts_as_groups_are_on_one_side_of_the_split(load_answers, write):
    rows = [{**asked(i), "question": f"When, {i}, {k}?"} for i in range(20) for k in range(4)]
    data = load_answers(write("x.jsonl", rows), group="context")
    assert not set(data.train.texts) & {*data.test.texts, *data.validation.texts}
    assert len(data.test) == 16 and data.test.groups == data.test.texts
    assert not any("too good" in note for note in data.notes)
