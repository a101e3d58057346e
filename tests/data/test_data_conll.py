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


@pytest.mark.parametrize(
    "comment",
    [
        "# text = one two three four five six seven",  # ten pieces, and ten columns
        "#text=one two three four five six seven eight nine ten",
        "\t".join(["# a", *"bcdefghij"]),
    ],
)
def test_a_comment_of_conllu_is_one_whatever_it_holds(load, write, comment):
    text = "\n".join(UD.replace("{i}", str(i)) for i in range(20))
    expected = read(load(write("x.conllu", text), TASK))
    changed = text.replace("# text = Vámonos al mar 7", comment)
    assert changed != text and read(load(write("y.conllu", changed), TASK)) == expected


HASHES = [("#", "O"), ("#", "B-X"), ("#tag{i}", "B-X"), ("Rome", "O"), ("#", "B-SOLO")]


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("first", range(len(HASHES)))
def test_hashes_are_words_where_their_line_ends_with_a_tag(load, write, separator, first):
    """As in WNUT's tweets."""
    lines = HASHES[first:] + HASHES[:first]
    data = load(write("x.conll", file_of(lines, separator)), TASK, duplicates="keep")
    words, tags = zip(*lines, strict=True)
    assert read(data)[5] == (tuple(word.replace("{i}", "5") for word in words), tags)
    assert data.notes == ()


def test_a_hash_whose_tag_is_not_in_the_last_column_is_a_word(load, write):
    lines = [("#", "SYM", "hash"), ("w{i}", "NN", "w"), ("won", "SYM", "win"), ("a", "NN", "a")]
    data = load(write("x.conll", file_of(lines)), TASK, label="2")
    assert read(data)[2] == (("#", "w2", "won", "a"), ("SYM", "NN", "SYM", "NN"))


def test_the_pound_sign_that_is_its_own_tag_is_a_word(load, write):
    """As in the Penn Treebank: https://catalog.ldc.upenn.edu/LDC99T42"""
    lines = [("#", "#"), ("40", "CD"), ("w{i}", "NN"), ("or", "CC"), ("#", "#"), ("50", "CD")]
    data = load(write("x.conll", file_of(lines)), TASK)
    assert read(data)[2] == (("#", "40", "w2", "or", "#", "50"), ("#", "CD", "NN", "CC", "#", "CD"))


def test_comments_with_as_many_pieces_as_columns_are_said_to_be_comments(load, write):
    """As in MultiCoNER, with blanks throughout."""
    lines = [("Rome", "NNP", "X", "B-LOC"), ("fell", "VBD", "X", "O"), ("w{i}", "NN", "X", "O")]
    data = load(write("x.conll", file_of(lines, " ", before="# id 7 x\n")), TASK)
    assert read(data)[3] == (("Rome", "fell", "w3"), ("B-LOC", "O", "O")) and len(read(data)) == 20
    assert "20 lines that begin with # and hold no tag of other lines" in data.notes[0]
    assert "are taken for comments: x.conll:1 ('# id 7 x')" in data.notes[0]


@pytest.mark.parametrize("comment", ["# text = O", "#begin document (a);", "# id = NN"])
def test_comments_of_a_known_form_are_sure(load, write, comment):
    lines = [("Rome", "NNP", "X", "B-LOC"), ("fell", "VBD", "X", "O"), ("w{i}", "NN", "X", "O")]
    lines = [line[-len(comment.split()) + 1 :] for line in lines]
    lines = [(word, *line) for word, line in zip(["Rome", "fell", "w{i}"], lines, strict=True)]
    data = load(write("x.conll", file_of(lines, " ", before=comment + "\n")), TASK)
    assert read(data)[3][0] == ("Rome", "fell", "w3") and data.notes == ()


def test_a_number_of_thousands_of_digits_counts_no_words(refusal, write):
    lines = [("1" * 5000, *COUNTED[0]), (2, *COUNTED[1]), (3, *COUNTED[2])]
    message = refusal(write("x.conll", file_of(lines)), task=TASK)
    assert "column 1 holds numbers that do not count words" in message


def test_a_comment_in_a_file_with_tabs_has_no_columns(load, write):
    text = file_of([(word, tag) for tag, word in MIT], before="# O\n")
    data = load(write("x.conll", text), TASK)
    assert read(data)[2][0] == ("show", "me", "action", "films", "w2") and data.notes == ()


def test_comments_before_tags_that_come_first_are_no_words(load, write):
    data = load(write("x.bio", file_of(MIT, before="#\tshow\n")), TASK)
    assert read(data)[2][0] == ("show", "me", "action", "films", "w2")


def test_lines_that_may_be_comments_or_words_are_refused(refusal, write):
    text = file_of([("#", "NN"), ("w{i}", "NN"), ("fell", "VB")], " ")
    path = write("x.conll", text + "\n# 17\nRome NN\nfell VB\n")
    message = refusal(path, task=TASK)
    assert "21 lines before a sentence begin with # and have 2 columns" in message
    assert "1 of them hold no tag of other lines: x.conll:81 ('# 17')" in message


COUNTED = [("Rome", "NNP", "B-LOC"), ("fell", "VBD", "O"), ("w{i}", "NN", "O")]


@pytest.mark.parametrize("start", [lambda i: 0, lambda i: 1, lambda i: 3 * i + 1, lambda i: 100])
def test_words_may_be_counted_from_any_number(load, write, start):
    text = "\n".join(
        file_of([(start(i) + j, *line) for j, line in enumerate(COUNTED)], count=1).replace(
            "w0", f"w{i}"
        )
        for i in range(20)
    )
    data = load(write("x.conll", text), TASK)
    assert read(data)[4] == (("Rome", "fell", "w4"), ("B-LOC", "O", "O"))
    assert data.notes[0].startswith("Column 1 counts words: words are read from column 2 and tags")


@pytest.mark.parametrize("numbers", [(1, 3, 4), (2, 1, 3), (1, "x", 3), (7, 7, 7)])
def test_numbers_that_count_no_words_are_not_read_as_words(load, refusal, write, numbers):
    lines = [(number, *line) for number, line in zip(numbers, COUNTED, strict=True)]
    path = write("x.conll", file_of(lines))
    message = refusal(path, task=TASK)
    assert "column 1 holds numbers that do not count words" in message
    assert 'name both, by name or number, e.g. data: {text: "2", label: "4"}' in message
    assert message == refusal(path, task=TASK, label="4")
    assert read(load(path, TASK, text="2", label="4"))[4][0] == ("Rome", "fell", "w4")


def test_numbers_of_sentences_of_one_word_count_nothing(refusal, write):
    path = write("x.conll", file_of([("20{i}", "CD", "O")], count=30))
    assert "column 1 holds numbers that do not count words" in refusal(path, task=TASK)


def test_a_last_column_that_holds_nothing_is_not_read_as_tags(load, refusal, write):
    path = write("x.conll", file_of([(*line[::2], "_") for line in COUNTED]))
    message = refusal(path, task=TASK)
    assert "column 3, the last, holds nothing but '_'" in message
    assert 'data: {text: "1", label: "2"}' in message
    assert read(load(path, TASK, label="2"))[4][1] == ("B-LOC", "O", "O")
