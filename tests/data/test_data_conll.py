"""Which columns of a file of words and tags are read as which."""

from __future__ import annotations

import pytest

TASK = "token-classification"
MIT = [("O", "show"), ("O", "me"), ("B-GENRE", "action"), ("I-GENRE", "films"), ("O", "w{i}")]


def file_of(lines, separator="\t", count=20, before=""):
    """A file of sentences that differ in one word."""
    sentence = "\n".join(separator.join(map(str, line)) for line in lines)
    return "\n\n".join(before + sentence.replace("{i}", str(i)) for i in range(count)) + "\n"


def read(data):
    """Words and tag names of all sentences, in the order of the file."""
    splits = (data.train, data.validation, data.test)
    rows = {
        int(i.rpartition(":")[2]): (words, tuple(data.label_names[tag] for tag in tags))
        for split in splits
        for i, words, tags in zip(split.ids, split.parts, split.labels, strict=True)
    }
    return [rows[line] for line in sorted(rows)]


def test_tags_may_come_first_and_are_said_to(load, write):
    """As in the MIT movie corpus: https://groups.csail.mit.edu/sls/downloads/movie"""
    data = load(write("engtrain.bio", file_of(MIT)), TASK)
    words = ("show", "me", "action", "films", "w7")
    assert read(data)[7] == (words, ("O", "O", "B-GENRE", "I-GENRE", "O"))
    assert data.notes == (
        "Tags are read from column 1, which holds IOB tags, and words from column 2.",
    )


def test_a_line_with_nothing_but_a_tab_ends_a_sentence(load, write):
    text = file_of([(word, tag) for tag, word in MIT]).replace("\n\n", "\n\t\n")
    data = load(write("x.conll", text), TASK)
    assert len(read(data)) == 20 and data.notes == ()


UD = """# sent_id = s{i}
# text = Vámonos al mar {i}
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\tVB\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tPR\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\tIN\t_\t5\tcase\t_\t_
4\tel\tel\tDET\tDT\t_\t5\tdet\t_\t_
5\tmar{i}\tmar\tNOUN\tNN\t_\t1\tobl\t_\t_
5.1\tsilent\t_\tNOUN\tNN\t_\t_\t_\t1:x\t_
"""


@pytest.mark.parametrize(
    ("keys", "tags"),
    [
        ({}, ("VERB", "PRON", "ADP", "DET", "NOUN")),
        ({"label": "xpos"}, ("VB", "PR", "IN", "DT", "NN")),
        ({"label": "DEPREL", "text": "form"}, ("root", "obj", "case", "det", "obl")),
        ({"label": "5"}, ("VB", "PR", "IN", "DT", "NN")),
    ],
)
@pytest.mark.parametrize("suffix", ["conllu", "conll"])
def test_conllu_gives_its_words_and_the_tags_asked_for(load, write, keys, tags, suffix):
    text = "\n".join(UD.replace("{i}", str(i)) for i in range(20))
    data = load(write(f"x.{suffix}", text), TASK, **keys)
    assert read(data)[3] == (("Vamos", "nos", "a", "el", "mar3"), tags)
    if not keys:
        assert "Words are read from column form and tags from column upos" in data.notes[0]


def test_names_that_the_file_declares_are_used(load, refusal, write):
    lines = [(1, "Rome", "B-LOC"), (2, "fell", "O"), (3, "w{i}", "O")]
    text = "# global.columns = ID FORM NER\n" + file_of(lines)
    path = write("x.conllu", text)
    assert read(load(path, TASK, text="form", label="ner"))[0][0] == ("Rome", "fell", "w0")
    assert "which column holds the words and which the tags is unclear" in refusal(path, task=TASK)


def test_a_column_that_counts_words_is_not_read_as_words(load, write):
    """As in GermEval 2014."""
    lines = [(1, "Jo", "B-PER", "O"), (2, "aus", "O", "O"), (3, "Rom", "B-LOC", "B-X"),
             (4, "w{i}", "O", "O")]  # fmt: skip
    path = write("x.conll", file_of(lines, before="#\thttp://example.org\t[2014]\n"))
    data = load(path, TASK, label="3")
    assert read(data)[0] == (("Jo", "aus", "Rom", "w0"), ("B-PER", "O", "B-LOC", "O"))
    data = load(path, TASK)
    assert read(data)[0][1] == ("O", "O", "B-X", "O")
    assert data.notes[0].startswith("Column 1 counts words: words are read from column 2 and tags")


POS = [("DT", "the"), ("NN", "w{i}"), ("VB", "fell"), ("DT", "a"), ("JJ", "b"), ("NN", "c")]


def test_tags_first_that_are_no_iob_tags_have_to_be_asked_for(load, refusal, write):
    path = write("x.conll", file_of(POS))
    message = refusal(path, task=TASK)
    assert "columns 1 and 2 hold 4 and 25 different values" in message
    assert "1 ('DT', ...), 2 ('the', ...)" in message and 'text: "2", label: "1"' in message
    data = load(path, TASK, text="2", label="1")
    assert read(data)[0] == (tuple("the w0 fell a b c".split()), tuple("DT NN VB DT JJ NN".split()))


def test_a_last_column_of_as_many_values_as_words_is_not_taken_for_tags(refusal, write):
    lines = [(f"w{{i}}x{j}", "NN" if j % 2 else "VB", f"lemma{{i}}x{j}") for j in range(5)]
    message = refusal(write("x.conll", file_of(lines)), task=TASK)
    assert "columns 1 and 3 hold 100 and 100 different values" in message


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"label": "upso"}, "data.label is 'upso', and this file has no such column"),
        ({"label": "upso"}, "did you mean 'upos'?"),
        ({"label": "11"}, "its columns: 'id', 'form', 'lemma', 'upos'"),
        ({"text": "upos"}, "column 4 would be words and tags"),
        ({"text": "lemma", "label": "3"}, "data.text and data.label both name column 3"),
        ({"group": "sent_id"}, "data.group is 'sent_id'"),
    ],
)
def test_columns_that_are_not_there_are_refused(refusal, write, keys, words):
    text = "\n".join(UD.replace("{i}", str(i)) for i in range(20))
    assert words in refusal(write("x.conllu", text), task=TASK, **keys)


def test_a_hash_is_also_a_word(load, write):
    lines = [("#", "O"), ("Rome", "B-LOC"), ("#w{i}", "O")]
    data = load(write("x.conll", file_of(lines)), TASK)
    assert read(data)[0][0] == ("#", "Rome", "#w0")
