"""The embedded BBC articles: the counts that the documentation states."""

from __future__ import annotations

from collections import Counter

import pytest

SIZES = {"test_size": 500, "validation_size": 200, "train_size": 800}


def test_assets_bring_their_own_encoding(load, tmp_path, monkeypatch):
    from workbench.data import sources

    for i in range(40):
        path = tmp_path / "bbc" / ("tech" if i % 2 else "sports") / f"{i:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"£{i}".encode("latin-1" if i == 3 else "utf-8"))
    monkeypatch.setattr(sources.assets, "fetch", lambda name: tmp_path / name.removesuffix("-news"))
    data = load("asset:bbc-news")
    assert all(text.startswith("£") for text in data.train.texts)
    assert "tech/003.txt (byte 0, line 1: 0xa3)" in data.notes[0]


@pytest.mark.assets
def test_the_real_articles(load):
    data = load("asset:bbc-news", **SIZES)
    assert (len(data.train), len(data.validation), len(data.test)) == (800, 200, 500)
    assert data.label_names == ("business", "entertainment", "politics", "sports", "tech")
    assert data.duplicates_removed == 101
    latin, copies = data.notes
    assert latin == (
        "1 file is not valid utf-8 and read whole as latin-1: "
        "sports/199.txt (byte 257, line 5: 0xa3)."
    )
    assert copies.startswith(
        "101 of 2,225 rows were left out because their text occurs elsewhere (98 identical, 3 "
        "apart from white space and case)"
    )
    everything = load("asset:bbc-news", duplicates="keep", validation_size=None, test_size=1)
    articles = everything.train.texts + everything.test.texts
    assert len(articles) == 2225 and len(articles) - len(set(articles)) == 98
    assert any("£" in text for text in articles) and not any("\ufffd" in t for t in articles)
    counts = Counter(everything.train.labels + everything.test.labels)
    assert [counts[i] for i in range(5)] == [510, 386, 417, 511, 401]


@pytest.mark.assets
def test_the_articles_are_refused_when_copies_are(refusal):
    message = refusal("asset:bbc-news", duplicates="error")
    assert "101 of 2,225 rows repeat another: business/" in message


@pytest.mark.assets
def test_the_real_articles_with_their_headlines(load):
    data = load("asset:bbc-headlines", "instruction", text="article", label="headline")
    assert (len(data.train), len(data.validation), len(data.test)) == (1463, 208, 417)
    assert data.duplicates_removed == 137  # of articles without their headlines
    assert data.train.labels[0] == "Ad sales boost Time Warner profit"
    assert data.train.texts[0].startswith("Quarterly profits at US media giant")
