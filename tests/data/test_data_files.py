"""Files and folders as sources: what is read, and what is refused with which words."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from example_rows import ROWS, as_parquet, csv_text


def whole(data):
    """(text, label name) of all rows, in the order of the source."""
    rows = {}
    for split in (data.train, data.validation, data.test):
        for i, text, label in zip(split.ids, split.texts, split.labels, strict=True):
            rows[int(i.rpartition(":")[2])] = (text, data.label_names[label])
    return [rows[i] for i in sorted(rows)]


# ------------------------------------------------------------------ the same rows in every format


def test_every_format_gives_the_same_rows(load, write, tmp_path):
    dicts = [{"text": text, "label": label, "other": 1} for text, label in ROWS]
    texts, labels = zip(*ROWS, strict=True)
    sources = [
        write("a.csv", csv_text()),
        write("b.tsv", csv_text(delimiter="\t")),
        write("c.jsonl", dicts),
        write("d.json", json.dumps(dicts, indent=1)),
        write("e.json", "\n".join(map(json.dumps, dicts))),
        write("F.CSV", csv_text()),
        as_parquet(tmp_path / "g.parquet", text=texts, label=labels, other=[[1]] * len(ROWS)),
    ]
    loaded = [load(source) for source in sources]
    assert all(whole(data) == ROWS for data in loaded)
    assert len({data.content_hash for data in loaded}) == 1
    assert all(data.label_names == ("neg", "pos") for data in loaded)


def test_ids_name_the_line_where_a_csv_row_starts(load, write):
    rows = [("two\nlines", "a"), ("one", "b"), ("three", "a"), ("four", "b"), ("five", "a")]
    data = load(write("x.csv", csv_text(rows)), duplicates="keep", validation_size=None)
    ids = dict(zip(data.train.ids + data.test.ids, data.train.texts + data.test.texts, strict=True))
    assert ids == {
        "x.csv:2": "two\nlines", "x.csv:4": "one", "x.csv:5": "three", "x.csv:6": "four",
        "x.csv:7": "five",
    }  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_byte_order_marks_and_line_ends_are_accepted(load, write, end, bom):
    data = load(write("x.csv", bom + csv_text(end=end).encode() + end.encode() * 2))
    assert whole(data) == ROWS


def test_unicode_line_separators_do_not_cut_json_lines(load, write):
    lines = [json.dumps({"text": f"a\u2028b {i}", "label": i % 2}, ensure_ascii=False)
             for i in range(20)]  # fmt: skip
    data = load(write("x.jsonl", "\r\n".join(lines)))
    assert len(whole(data)) == 20
    assert all("\u2028" in text for text in data.train.texts)


def test_pairs_are_read_together(load, write):
    rows = [{"a": f"premise {i}", "b": f"hypothesis {i}", "y": i % 2} for i in range(20)]
    data = load(write("x.jsonl", rows), text="a", text_pair="b", label="y")
    assert data.train.pairs is not None and len(data.train.pairs) == len(data.train)
    for text, pair in zip(data.train.texts, data.train.pairs, strict=True):
        assert text.split()[1] == pair.split()[1]


def test_folder_per_class(load, write, tmp_path):
    for i in range(20):
        write(f"news/{'sport' if i % 2 else 'tech'}/{i:03}.txt", f"text {i}")
    write("news/README.md", "about")
    write("news/.DS_Store", b"\0\0")
    data = load(tmp_path / "news")
    assert data.label_names == ("sport", "tech")
    assert set(data.train.ids + data.validation.ids + data.test.ids) == {
        f"{'sport' if i % 2 else 'tech'}/{i:03}.txt" for i in range(20)
    }
    assert data.notes == ("Not read from news, being no .txt files of a class: README.md.",)


def test_folder_with_splits_of_files_and_of_class_folders(load, write, tmp_path):
    write("files/train.csv", csv_text(ROWS[:30]))
    write("files/held.jsonl", [{"text": t, "label": label} for t, label in ROWS[30:]])
    data = load(tmp_path / "files", splits={"train": "train", "test": "held"})
    assert data.test.ids == tuple(f"held.jsonl:{i}" for i in range(1, 11))
    assert len(data.train) + len(data.validation) == 30

    for i in range(30):
        split = "test" if i < 10 else "train"
        write(f"folders/{split}/{'ab'[i % 2]}/{i}.txt", f"text {i}")
    data = load(tmp_path / "folders", splits={"train": "train", "test": "test"})
    assert set(data.test.ids) == {f"test/{'ab'[i % 2]}/{i}.txt" for i in range(10)}
    assert data.label_names == ("a", "b")


# ------------------------------------------------------------------ encodings


LATIN = csv_text([*ROWS, ("costs £5", "neg")]).encode("latin-1")


def test_wrong_encoding_names_file_byte_line_and_fix(refusal, write):
    path = write("x.csv", LATIN)
    message = refusal(path)
    assert f"{path}: not valid utf-8 (byte {LATIN.index(0xA3)}, line 42: 0xa3" in message
    assert "data.encoding" in message and "data.encoding_fallback" in message
    assert "windows-1252" in message


def test_declared_encoding_and_fallback_lose_no_character(load, write):
    declared = load(write("x.csv", LATIN), encoding="latin-1")
    assert ("costs £5", "neg") in whole(declared) and declared.notes == ()
    fallback = load(write("x.csv", LATIN), encoding_fallback="latin-1")
    assert whole(fallback) == whole(declared)
    assert fallback.notes[0].startswith(
        "1 file is not valid utf-8 and read whole as latin-1: x.csv (byte "
    )


def test_fallback_is_used_per_file(load, write, tmp_path):
    for i in range(20):
        write(f"t/{'ab'[i % 2]}/{i:02}.txt", f"é {i}")
    write("t/a/99.txt", b"\xa3 99")
    data = load(tmp_path / "t", encoding_fallback="latin-1", validation_size=None, test_size=1)
    texts = set(data.train.texts + data.test.texts)
    assert texts == {f"é {i}" for i in range(20)} | {"£ 99"}
    assert data.notes[0].endswith("a/99.txt (byte 0, line 1: 0xa3).")


def test_utf8_that_is_read_as_something_else_is_noted(load, write, tmp_path):
    rows = csv_text([*ROWS, ("costs £5", "neg")])
    (note,) = load(write("x.csv", rows), encoding="latin-1").notes
    assert note.startswith("Read as latin-1, as data.encoding says, but valid utf-8: x.csv;")
    assert load(write("ascii.csv", csv_text()), encoding="latin-1").notes == ()
    for i in range(20):
        write(f"t/{'ab'[i % 2]}/{i:02}.txt", f"é {i}")
    data = load(tmp_path / "t", encoding="windows-1252")
    assert data.notes[0].startswith("Read as windows-1252, as data.encoding says, but valid utf-8")
    assert "a/00.txt, a/02.txt" in data.notes[0] and "and 15 more" in data.notes[0]


def test_fallback_that_fails_too_is_refused(refusal, write):
    assert "not valid ascii" in refusal(write("x.csv", LATIN), encoding_fallback="ascii")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf16_is_recognised_and_can_be_declared(load, refusal, write, encoding):
    path = write("x.csv", csv_text().encode(encoding))
    assert "utf-16" in refusal(path)
    assert whole(load(path, encoding=encoding)) == ROWS


@pytest.mark.parametrize("encoding", ["utf8x", "hex", "rot13", "", "undefined"])
def test_unknown_encoding(refusal, write, encoding):
    message = refusal(write("x.csv", csv_text()), encoding=encoding)
    assert f"data.encoding: {encoding!r} is not a text encoding" in message


# ------------------------------------------------------------------ damaged files


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", zipped(), "a zip archive or an Excel workbook"),
        ("x.jsonl", b"\x1f\x8b\x08\0", "gzip-compressed"),
        ("x.csv", b"PAR1\0\0", "a parquet file"),
        ("x.csv", b"MZ\x90\0\x03", "a Windows program"),
        ("x.csv", b"", "x.csv: no rows: the file is empty"),
        ("x.jsonl", b"\n\n", "x.jsonl: no rows: the file is empty"),
        ("x.json", b"[]", "x.json: no rows: the file is empty"),
        ("x.csv", b"text,label\n", "x.csv: no rows"),
        ("x.csv", b"text,label\na\0b,1\n", "a NUL character (line 2, character 12"),
        ("x.csv", b'text,label\na,1\n"open,0\nb,1\n', "x.csv:3: unbalanced quotes"),
        ("x.csv", b'text,label\na,1\n"say "hi"",0\n', "x.csv:3: unbalanced quotes"),
        ("x.csv", b"text,label\na,1\nb,c,0\n", "x.csv:3: 3 fields where the header has 2"),
        ("x.csv", b"text,label\na,1\nb\n", "x.csv:3: 1 fields where the header has 2"),
        ("x.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', "x.jsonl:2: not valid JSON"),
        ("x.jsonl", b"[1, 2]\n", "x.jsonl:1: a list where an object was expected"),
        ("x.jsonl", b"[" * 200_000, "x.jsonl:1: JSON nested too deeply"),
        ("x.jsonl", b'{"text": ' + b"9" * 5000 + b"}", "x.jsonl:1: not valid JSON: Exceeds"),
        ("x.parquet", b"PAR1 and no more", "cannot be read as parquet"),
        ("x.parquet", b"", "cannot be read as parquet"),
        ("x.xlsx", b"PK", "a .xlsx file"),
    ],
)
def test_damaged_files_are_refused(refusal, write, name, content, words):
    message = refusal(write(name, content))
    assert words in message and "Traceback" not in message


def test_missing_file_and_unreadable_name(refusal, tmp_path):
    assert "cannot be read: No such file" in refusal(tmp_path / "none.csv")
    message = refusal("./no such folder")
    assert "is not a file or folder here, and no Hub id either" in message
