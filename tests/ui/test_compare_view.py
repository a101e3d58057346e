"""The Compare view: each tab, what the address keeps, and what must not be compared."""

from __future__ import annotations

import io
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import toy_chart
from opening import open_view, texts, written
from reported_runs import CLASSES, METHODS, add_run, add_study, recipe_of
from streamlit.testing.v1 import AppTest

from workbench.charts import figures
from workbench.comparison import compare as compare_runs
from workbench.store import read_json, write_json

TABLE = "dataframe"
HOSTILE = "<img src=x onerror=alert(1)> **bold** [a](javascript:b)"


def compare(view: str, **query: str) -> AppTest:
    return open_view("compare", view=view, **query)


def said(app: AppTest) -> str:
    """What the page says as a reader sees it."""
    return texts(app).replace("\\", "").replace("\u2060", "")


def test_scores_stand_beside_what_may_be_concluded(folder: Path) -> None:
    add_study(folder)
    app = compare("Scores")
    table = written(app).set_index("recipe")
    assert table.loc["full", "Δ vs full"] == "baseline"
    assert set(table.loc[list(METHODS), "Pareto"]) <= {"front", "possibly dominated", "dominated"}
    assert "Conclusions" in said(app)
    sentences = [text.value for text in app.text if "prompt" in text.value and "full" in text.value]
    assert any("95% CI" in sentence for sentence in sentences)
    comparison = compare_runs([folder])
    (answer,) = comparison.answer
    shown = [text.value for text in app.text]
    assert shown[0] == answer["text"]
    assert any(comparison.verdicts[0]["details"] in text for text in shown)
    assert "accuracy against trainable parameters" in said(app)


def test_the_baseline_and_the_metric_come_from_the_address(folder: Path) -> None:
    add_study(folder)
    app = compare("Scores", baseline="lora", score="f1_macro")
    table = written(app).set_index("recipe")
    assert table.loc["lora", "Δ vs lora"] == "baseline" and "f1_macro" in table.columns
    assert table.loc["full", "Δ vs lora"].startswith("+")
    app = compare("Scores", recipes="lora")
    assert set(app.dataframe[0].value["recipe"]) == {"lora", "majority class"}
    one = next((folder / "news").glob("lora-s1*"))
    app = compare("Scores", runs=f"news/{one.name}")
    assert list(written(app)["seeds"]) == ["1", "–"]
    assert written(app)["accuracy"][1] == "0.330"


def test_scores_and_costs_are_numbers_so_that_they_sort_as_such(folder: Path) -> None:
    add_study(folder)
    app = compare("Scores")
    numbers, table = app.dataframe[0].value, written(app)
    assert list(numbers.columns[:4]) == ["recipe", "seeds", "accuracy", "Δ vs full"]
    columns = ["accuracy", "Δ vs full", "trainable parameters", "% of all", "peak memory, MB"]
    for name in [*columns, "train time, s", "adapter file, MB", "f1_macro"]:
        assert pd.api.types.is_float_dtype(numbers[name]), name
    rows = numbers.set_index("recipe")
    assert list(rows.loc["full", ["trainable parameters", "train time, s"]]) == [22_715_141, 9]
    assert list(rows.sort_values("trainable parameters").index[:3]) == ["prompt", "lora", "full"]
    # 12 bytes for each trained number, 91 and 100 MB, 7 MB more and a byte of seed 1
    assert table.set_index("recipe").loc["prompt", "peak memory, MB"] == "198"
    assert table.set_index("recipe").loc["full", "trainable parameters"] == "22,715,141"


def test_the_method_has_a_column_where_the_name_of_a_recipe_is_another(folder: Path) -> None:
    add_study(folder)
    add_run(folder, recipe_of("lora", name="low-rank"))
    table = written(compare("Scores")).set_index("recipe")
    assert list(table.columns[:2]) == ["method", "seeds"]
    assert list(table.loc[["full", "low-rank"], "method"]) == ["full", "lora"]


def test_what_matrices_share_is_said_once_below_them(folder: Path) -> None:
    add_study(folder, labels=[CLASSES[i % 3] for i in range(60)])
    found = said(compare("Classes"))
    assert found.count("Right class by row, prediction by column") == 1
    assert all(f"**{method}**" in found for method in METHODS)


def drawn(block: Any) -> list[str]:
    """What is on a page, from top to bottom."""
    found = []
    for child in block.children.values():
        found += drawn(child) if hasattr(child, "children") else [child.type]
    return found


def test_the_answer_comes_first_then_the_chart_then_tables(folder: Path) -> None:
    add_study(folder)
    app = compare("Scores")
    kinds = [kind for kind in drawn(app.main) if kind in ("text", "vega_lite_chart", TABLE)]
    assert kinds[:4] == ["text", "vega_lite_chart", TABLE, TABLE]


def test_each_pair_has_its_difference_verdict_and_what_would_settle_it(folder: Path) -> None:
    add_study(folder, labels=[CLASSES[i % 3] for i in range(60)])
    pairs, shown = compare("Scores").dataframe[1].value, written(compare("Scores"), 1)
    verdicts = compare_runs([folder]).verdicts
    assert list(pairs["recipe"]) == [each["label"] for each in verdicts] == ["lora", "prompt"]
    assert set(pairs["against"]) == {"full"}
    for i, each in enumerate(verdicts):
        assert each["difference"] is not None
        assert pairs["difference, points"][i] == pytest.approx(100 * each["difference"])
        assert shown["difference, points"][i] in each["sentence"]
        assert all(end in each["sentence"] for end in pairs["95% CI"][i].split(" to "))
    assert [each["conclusion"] for each in verdicts] == ["unclear", "worse"]
    assert list(pairs["verdict"]) == ["not significant", "worse"]
    lacking, decided = pairs["what would settle it"]
    assert lacking in verdicts[0]["details"] and "test items" in lacking and decided == "–"


def test_it_is_said_why_nothing_is_tested(folder: Path) -> None:
    for name in ("one", "two", "three"):
        add_run(folder, recipe_of("lora", name=name))
    found = said(compare("Scores"))
    assert "Nothing is tested: choose a baseline" in found and "--" not in found


def test_a_long_name_loses_its_middle_and_is_named_in_full(folder: Path) -> None:
    name = "lora-" + "x" * 70 + "-v2"
    add_run(folder, recipe_of("lora", name=name))
    app = compare("Scores")
    shown = app.dataframe[0].value["recipe"][0]
    assert shown.startswith("lora-xxx") and shown.endswith("xx-v2") and len(shown) == 40
    assert name in [text.value for text in app.text]


def test_choices_are_plain_texts(folder: Path) -> None:
    add_study(folder)
    assert compare("Curves").selectbox(key="smooth-1").options[1] == "0.5"


def test_equal_scores_keep_the_intervals_of_their_own(folder: Path) -> None:
    for name in ("even", "uneven"):
        for seed in range(3):
            score = 0.8 + (seed - 1) * (0.1 if name == "uneven" else 0.01)
            add_run(folder, recipe_of("lora", name=name), seed, metrics={"rouge_l": score})
    shown = written(compare("Scores")).set_index("recipe")["rouge_l"]
    assert shown["even"].startswith("0.800 [0.7") and shown["even"] != shown["uneven"]


@pytest.mark.parametrize(
    ("view", "charts", "words"),
    [
        ("Costs", 2, "the grey tick is the peak"),
        ("Curves", 2, "lowest to the highest seed"),
        ("Classes", 4, "prediction by column"),
        ("Recipes", 0, "keys differ"),
    ],
)
def test_each_tab_shows_its_charts(folder: Path, view: str, charts: int, words: str) -> None:
    add_study(folder)
    app = compare(view)
    drawn = app.get("vega_lite_chart")
    assert len(drawn) == charts
    assert words in said(app)


def test_a_listed_figure_stands_in_the_tab_of_its_section(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_study(folder)
    listed = [*figures.FIGURES, toy_chart.FIGURE]
    monkeypatch.setattr("workbench.charts.figures.FIGURES", listed)
    app = compare("Costs", **{"toy-1": "gray"})
    assert "How many seeds" in said(app)
    chart = app.get("vega_lite_chart")[-1].proto
    assert "gray" in chart.spec and chart.alt.startswith("Seeds of each recipe as bars: full 3")
    keys = {str(button.key) for button in compare("Download").download_button}
    assert {"picture-1-toy-SVG", "picture-1-toy-PNG"} <= keys


def test_curves_are_drawn_over_what_is_chosen(folder: Path) -> None:
    add_study(folder)
    app = compare("Curves", **{"over-1": "tokens", "log-1": "x"})
    spec = app.get("vega_lite_chart")[0].proto.spec
    assert "tokens trained on" in spec and '"log"' in spec


def test_only_what_differs_is_listed(folder: Path) -> None:
    add_study(folder)
    table = compare("Recipes").dataframe[0].value.set_index("key")
    assert table.loc["method.r", "lora"] == "8" and table.loc["method.r", "full"] == "–"
    assert "model.source" not in table.index


def test_disagreements_are_shown_with_their_texts_and_can_be_searched(folder: Path) -> None:
    add_study(folder, texts=[f"about {i} {HOSTILE}" for i in range(30)])
    app = compare("Disagreements")
    counts = app.dataframe[0].value
    assert (counts.drop(columns="recipes").sum(axis=1) == 30).all()
    assert any(HOSTILE in text.value for text in app.text)
    for kind in (app.markdown, app.caption):
        for element in kind:
            assert not re.search(r"(?<!\\)(<img|\*\*bold|\[a\])", element.value)
    found = re.search(r"disagree on (\d+) of 30 test examples", said(app))
    assert found and int(found[1]) > 0
    app = compare("Disagreements", **{"find-1": "no such text"})
    assert "; 0 match." in said(app)


def test_groups_that_must_not_be_compared_stand_apart(folder: Path) -> None:
    add_study(folder)
    for path in (folder / "news").glob("prompt-*"):
        record = read_json(path / "result.json") or {}
        record["comparability"]["split"] = "other"
        write_json(path / "result.json", record)
    app = compare("Scores")
    assert [re.sub(r"[\\\u2060]", "", header.value) for header in app.header] == [
        f"Group {n}: news · asset:minilm-l6" for n in (1, 2)
    ]
    assert len(app.dataframe) == 3  # the first group has a pair to judge
    assert set(app.dataframe[2].value["recipe"]) == {"prompt", "majority class"}
    assert "Not comparable with the other groups" in said(app)
    assert "are not comparable with" in said(app) or "is not comparable with" in said(app)


def test_a_damaged_run_breaks_no_tab(folder: Path) -> None:
    paths = add_study(folder)
    (paths[0] / "predictions.parquet").write_bytes(b"PAR1")
    (paths[1] / "events.jsonl").write_bytes(b"\xff\n[")
    (paths[2] / "recipe.yaml").write_text("a: [")
    (paths[3] / "result.json").write_text("{")
    for view in ("Scores", "Costs", "Curves", "Classes", "Disagreements", "Recipes", "Download"):
        compare(view)
    assert "1 unreadable run is left out" in said(compare("Scores"))


def test_tasks_without_classes_say_so(folder: Path) -> None:
    for method in METHODS:
        task = {"name": "causal-lm"}
        recipe = recipe_of(method, task=task, model={"source": "asset:smollm2-135m"})
        add_run(folder, recipe, 0, labels=[""] * 4, predictions=[""] * 4, metrics={"perplexity": 9})
    assert "no classes" in said(compare("Classes"))
    assert "disagree on 0 of 4 test examples" in said(compare("Disagreements"))
    assert "lower is better" in said(compare("Scores"))


def test_the_downloads_are_made_when_they_are_asked_for(folder: Path) -> None:
    from compare import downloads
    from compare.selection import Selection
    from workbench.comparison import compare as compare_runs

    add_study(folder, texts=[f"secret {i}" for i in range(30)])
    keys = {str(button.key) for button in compare("Download").download_button}
    assert {"download-csv", "download-latex", "download-report", "download-report-zip"} <= keys
    assert "picture-1-memory-SVG" in keys and "picture-1-curve-loss-PNG" in keys
    paths = (folder / "news",)
    chosen = Selection(
        comparison=compare_runs(paths),
        paths=paths,
        baseline="full",
        metric="accuracy",
        kept=frozenset(METHODS),
    )
    page = downloads.report_page(chosen, texts=False).decode()
    assert "<h1>news</h1>" in page and "secret" not in page
    with zipfile.ZipFile(io.BytesIO(downloads.report_zip(chosen, texts=True))) as archive:
        assert archive.testzip() is None
        assert {"report/report.html", "report/tables/comparison.csv"} <= set(archive.namelist())
        assert "secret" in archive.read("report/report.html").decode()


@pytest.mark.perf
def test_five_hundred_runs_are_there_in_two_seconds(folder: Path) -> None:
    for study in range(28):
        for method in METHODS:
            for seed in range(6):
                add_run(folder, recipe_of(method, f"study-{study:02}"), seed, labels=["tech"])
    open_view("compare")  # imports and the first reading are the server's, not the page's
    started = time.process_time()
    app = open_view("compare")
    # In time of the processor: others use it too.
    assert time.process_time() - started < 2.0
    assert len(app.dataframe[0].value) == 4


def test_disagreements_begin_with_the_best_recipe_of_each_method(folder: Path) -> None:
    """Of nine recipes of three methods; `-0` are right most often."""
    labels = [CLASSES[i % 3] for i in range(40)]
    for method in ("full", "lora", "prompt"):
        for number in range(3):
            wrong = 2 * number + list(METHODS).index(method) + 1
            given = [CLASSES[(i + (i < wrong)) % 3] for i in range(40)]
            recipe = recipe_of(method, "big", f"{method}-{number}")
            add_run(folder, recipe, 0, labels=labels, predictions=given)
    app = compare("Disagreements", studies="big")
    box = app.multiselect(key="between-1")
    assert sorted(box.value) == ["full-0", "lora-0", "prompt-0"] and len(box.options) == 9
    next(each for each in app.button if each.label == "All 9").click().run()
    assert not app.exception and len(app.multiselect(key="between-1").value) == 9
    assert not [each for each in app.button if each.label == "All 9"]
