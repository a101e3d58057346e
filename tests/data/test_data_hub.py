"""Hub data sets, with `load_dataset` replaced: what is asked for, read and explained."""

from __future__ import annotations

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from datasets.exceptions import DatasetNotFoundError

POLARITY = ClassLabel(names=["negative", "positive"])


@pytest.fixture
def hub(monkeypatch):
    """Serves the given splits; returns the list of calls."""

    def serve(splits):
        calls = []

        def load_dataset(path, name=None, revision=None, split=None):
            calls.append((path, name, revision, split))
            found = splits[split]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return calls

    return serve


def polarity(count, start=0, hidden=False):
    columns = {
        "sentence": [f"sentence {i}" for i in range(start, start + count)],
        "label": [-1 if hidden else (i + 1) % 2 for i in range(count)],
    }
    return Dataset.from_dict(columns, Features({"sentence": Value("string"), "label": POLARITY}))


def test_splits_class_names_and_arguments(load, hub):
    calls = hub({"train": polarity(40), "validation": polarity(10, 100)})
    data = load(
        "nyu-mll/glue", config="sst2", revision="bcdcba79", text="sentence",
        splits={"train": "train", "test": "validation"},
    )  # fmt: skip
    assert calls == [
        ("nyu-mll/glue", "sst2", "bcdcba79", "train"),
        ("nyu-mll/glue", "sst2", "bcdcba79", "validation"),
    ]
    assert data.label_names == ("negative", "positive")
    assert data.test.ids == tuple(f"validation:{i}" for i in range(10))
    assert data.test.labels == (1, 0) * 5
    assert len(data.validation) == 4 and data.validation.ids[0].startswith("train:")


def test_without_splits_everything_is_cut_from_train(load, hub):
    hub({"train": polarity(40)})
    data = load("stanfordnlp/sst", text="sentence")
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 4, 8)


def test_the_source_s_order_of_classes_is_kept_unless_declared(load, hub):
    names = ClassLabel(names=["World", "Sports", "Business"])
    columns = {"text": [f"t {i}" for i in range(30)], "label": [i % 3 for i in range(30)]}
    hub({"train": Dataset.from_dict(columns, Features({"text": Value("string"), "label": names}))})
    assert load("fancyzhx/ag_news").label_names == ("World", "Sports", "Business")
    declared = load("fancyzhx/ag_news", labels=["Business", "Sports", "World"])
    assert declared.label_names == ("Business", "Sports", "World")
    assert declared.content_hash == load("fancyzhx/ag_news").content_hash


def test_lists_of_class_labels(load, hub):
    features = Features(
        {"text": Value("string"), "labels": List(ClassLabel(names=["joy", "fear"]))}
    )
    columns = {"text": [f"t {i}" for i in range(30)], "labels": [[0], [1, 0], []] * 10}
    hub({"train": Dataset.from_dict(columns, features)})
    data = load("google/emotions", label="labels", problem_type="multi_label_classification")
    assert data.label_names == ("joy", "fear")
    assert set(data.train.labels) == {(1, 0), (1, 1), (0, 0)}


def test_hidden_labels_of_a_benchmark(refusal, hub):
    hub({"train": polarity(40), "test": polarity(10, 100, hidden=True)})
    message = refusal("nyu-mll/glue", text="sentence", splits={"train": "train", "test": "test"})
    assert "nyu-mll/glue, split 'test': the labels of this split are hidden: 10 of 10" in message


def test_missing_column_and_missing_values(refusal, hub):
    hub({"train": polarity(40)})
    assert "columns found: 'sentence', 'label'" in refusal("nyu-mll/glue", config="sst2")
    columns = {"text": ["a", None, "c"], "label": [0, 1, None]}
    hub({"train": Dataset.from_dict(columns)})
    assert "missing label, 1 of 3 rows: train:2 (None)" in refusal("a/b")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RuntimeError("Dataset scripts are no longer supported, but found x.py"),
            ["comes as a program, which is not run", "refs/convert/parquet"],
        ),
        (
            ConnectionError("Couldn't reach 'a/b' on the Hub (OfflineModeIsEnabled)"),
            ["Hub cannot be reached", "neither a file or folder here", "asset:bbc-news"],
        ),
        (DatasetNotFoundError("Dataset 'a/b' doesn't exist"), ["doesn't exist", "hf auth login"]),
        (
            ValueError("BuilderConfig 'sst' not found. Available: ['cola', 'sst2']"),
            ["Available: ['cola', 'sst2']", "data.config"],
        ),
        (ValueError("Unknown split 'train'. Should be one of ['all']."), ["one of ['all']"]),
    ],
)
def test_failures_are_explained(refusal, hub, error, words):
    hub({"train": error})
    message = refusal("a/b", config="sst")
    assert message.startswith("a/b (sst), split 'train': ")
    assert all(word in message for word in words)


def test_offline_is_refused_at_once_and_without_a_connection(refusal, monkeypatch):
    # The real load_dataset; these libraries read the switch once, at import.
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    message = refusal("nyu-mll/glue", config="sst2", text="sentence")
    assert "the Hugging Face Hub cannot be reached" in message


@pytest.mark.parametrize(
    "source", ["https://example.com/x.zip", "a/b/c", "../data", "-x/y", "a--b", "x/a..b", "x."]
)
def test_what_is_no_hub_id_never_reaches_the_hub(refusal, hub, source):
    calls = hub({})
    assert "no Hub id either" in refusal(source)
    assert calls == []


def test_a_name_of_the_hub_may_begin_with_an_underscore(load, hub):
    calls = hub({"train": polarity(40)})
    load("_owner/_name", text="sentence")
    assert calls == [("_owner/_name", None, None, "train")]
