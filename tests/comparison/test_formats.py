"""The five formats, with names that try to be more than names."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import compare
from workbench.errors import UsageError

HOSTILE = {
    "=cmd|'/c calc'!A1": "formula",
    "[red]x[/red] \x1b[31m": "terminal",
    "a | b\n| --- | `c` <b>": "markdown",
    r"100% $x_1$ \input{/etc/passwd} ~^&#": "latex",
}


@pytest.fixture
def hostile(run: WriteRun, runs: Path) -> Path:
    for i, name in enumerate(HOSTILE):
        run(name, 0, 0.9 - i / 100, folder=f"s/hostile{i}-s0-00000000", method="lora")
    run("plain", 0, study="-evil", references={"@ref|_": {"accuracy": 0.1, "=m": 1.0}})
    return runs


@pytest.mark.usefixtures("study")
def test_json_is_one_document(runs: Path) -> None:
    comparison = compare([runs])
    content = json.loads(comparison.to("json"))
    assert list(content) == [
        *("answer", "rows", "references", "warnings", "verdicts", "verdict_notes"),
        *("pareto", "pareto_objectives"),
    ]
    assert content["rows"] == comparison.rows and content["verdicts"] == comparison.verdicts
    assert content["pareto"] == comparison.pareto and len(content["pareto"]) == 4


@pytest.mark.usefixtures("study")
def test_an_unknown_format_is_refused(runs: Path) -> None:
    with pytest.raises(UsageError, match="'excel'") as caught:
        compare([runs]).to("excel")
    assert "table, markdown, csv, latex, json" in str(caught.value)


@pytest.mark.usefixtures("study")
def test_csv_holds_exact_numbers_under_names_with_units(runs: Path) -> None:
    comparison = compare([runs])
    lines = list(csv.DictReader(io.StringIO(comparison.to("csv"))))
    assert [line["name"] for line in lines] == [
        *("full", "lora", "prefix", "prompt", "majority class", "TF-IDF + logistic regression")
    ]
    lora, row = lines[1], comparison.rows[1]
    assert float(lora["accuracy_mean"]) == row["metrics"]["accuracy"]["mean"]
    assert float(lora["accuracy_baseline_delta"]) == row["baseline_delta"]["accuracy"]
    assert float(lora["accuracy_baseline_paired_ci_low"]) < 0
    assert (lora["seeds"], lora["peak_memory_bytes"]) == ("0 1 2", "512000000")
    assert (lora["kind"], lines[-1]["kind"]) == ("recipe", "reference")
    assert lines[-1]["accuracy_mean"] == "0.962" and lines[-1]["train_seconds"] == ""
    assert lines[0]["accuracy_baseline_delta"] == ""


@pytest.mark.usefixtures("study")
def test_csv_says_what_may_be_concluded(runs: Path) -> None:
    comparison = compare([runs])
    lines = {line["name"]: line for line in csv.DictReader(io.StringIO(comparison.to("csv")))}
    standings = {each["label"]: each["status"] for each in comparison.pareto}
    assert set(standings.values()) > {"front"}, "or the column would tell nothing apart"
    for name, standing in standings.items():
        assert lines[name]["pareto"] == standing
    assert [v["label"] for v in comparison.verdicts] == ["lora", "prefix", "prompt"]
    for verdict in comparison.verdicts:
        line = lines[verdict["label"]]
        found = [line[f"verdict{name}"] for name in ("", "_against", "_metric")]
        assert found == [verdict["conclusion"], "full", "accuracy"]
        for number in ("difference", "ci_low", "ci_high", "p_adjusted"):
            assert float(line[f"verdict_{number}"]) == verdict[number]  # type: ignore[literal-required]
    assert {lines[n]["verdict"] for n in ("full", "majority class")} == {""}
    assert lines["majority class"]["pareto"] == ""


@pytest.mark.usefixtures("study")
def test_of_all_pairs_the_csv_keeps_those_against_the_baseline(runs: Path) -> None:
    """Numbers are the row minus the baseline, whichever way round the pair was tested."""
    comparison, alone = compare([runs], all_pairs=True), compare([runs])
    lines = {line["name"]: line for line in csv.DictReader(io.StringIO(comparison.to("csv")))}
    assert len(comparison.verdicts) == 6 and comparison.verdicts[0]["label"] == "full"
    for verdict in alone.verdicts:
        line = lines[verdict["label"]]
        assert line["verdict_against"] == "full"
        for number in ("difference", "ci_low", "ci_high"):
            assert float(line[f"verdict_{number}"]) == pytest.approx(verdict[number])  # type: ignore[literal-required]
        if line["verdict"] in ("better", "worse"):
            assert (line["verdict"] == "better") == (float(line["verdict_difference"]) > 0)
    assert lines["full"]["verdict"] == ""


def test_without_tests_and_fronts_the_csv_columns_are_empty(run: WriteRun, runs: Path) -> None:
    run("lora", 0, 0.9)
    line = next(csv.DictReader(io.StringIO(compare([runs], tests=False).to("csv"))))
    assert (line["verdict"], line["verdict_p_adjusted"]) == ("", "")


def test_csv_text_is_no_formula_and_numbers_stay_numbers(hostile: Path) -> None:
    cells = [c for line in csv.reader(io.StringIO(compare([hostile]).to("csv"))) for c in line]
    assert "'=cmd|'/c calc'!A1" in cells and "'-evil" in cells and "'@ref|_" in cells
    assert not [cell for cell in cells if re.match(r"\s*[=+@-](?![\d.])", cell)]


@pytest.mark.usefixtures("study")
def test_markdown_is_a_table_for_people(runs: Path) -> None:
    text = compare([runs]).to("markdown")
    assert "**bbc-news · asset:minilm-l6**" in text
    assert "| recipe | accuracy | Δ vs full | f1\\_macro | trainable |" in text
    assert r"| lora | 0.958 \[0.953, 0.963\] (3) | -0.006 ± 0.009 |" in text
    assert "| 75.7k (0.33%) | 1.93k | 310 kB | 512 MB | 9.0 s |" in text
    assert "| baseline |" in text and "| majority class | 0.232 |" in text


def test_markdown_names_stay_in_their_cells(hostile: Path) -> None:
    text = compare([hostile]).to("markdown")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 1
    for line in tables[0].splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 9
    assert r"\<b\>" in text and r"\`c\`" in text and "<b>" not in text


@pytest.mark.usefixtures("study")
def test_latex_is_a_booktabs_table(runs: Path) -> None:
    comparison = compare([runs])
    text = comparison.to("latex")
    assert text.count("\\toprule") == text.count("\\bottomrule") == 1
    assert "\\begin{tabular}{lrrrrrrrrrr}" in text
    assert "lora & 0.958 {[}0.953, 0.963{]} (3) & -0.006 $\\pm$ 0.009 & " in text
    lora = next(line for line in text.splitlines() if line.startswith("lora & "))
    verdict, standing = comparison.verdicts[0]["conclusion"], comparison.pareto[1]["status"]
    assert f" & {verdict} & {standing} & 75.7k" in lora
    assert " & verdict & Pareto & trainable & " in text
    assert "75.7k (0.33\\%)" in text and "f1\\_macro" in text


def test_latex_names_are_no_commands(hostile: Path) -> None:
    text = compare([hostile]).to("latex")
    printed = [line for line in text.splitlines() if not line.startswith("%")]
    body = [line for line in printed if line.endswith("\\\\")]
    assert len(body) == 1 + 5 + 3
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == 8
        assert "\\input" not in line and not re.search(r"(?<!\\)[%#_]", line)
        bare = re.sub(r"\\[{}]", "", line)
        assert (
            bare.count("{") == bare.count("}")
            and bare.count("$") % 2 == len(re.findall(r"\\\$", bare)) % 2
        )
    assert r"100\% \$x\_1\$ \textbackslash{}input\{/etc/passwd\}" in text


def test_the_terminal_obeys_no_name(hostile: Path) -> None:
    text = compare([hostile]).to("table", width=200)
    assert "[red]x[/red]" in text and "\x1b" not in text
    title = next(line for line in text.split("\n\n")[1].splitlines() if line.strip())
    assert "-evil" in title


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("width", [10, 40, 60, 80, 100, 140, 300])
def test_the_table_fits_the_terminal(runs: Path, width: int) -> None:
    text = compare([runs]).to("table", width=width)
    assert max(len(line) for line in text.splitlines()) <= max(width, 52)
    assert "0.958 [0.953, 0.963] (3)" in text and "recipe" in text
    assert ("left out at this width" in text) == (width < 140)


@pytest.mark.usefixtures("study")
def test_the_table_keeps_memory_at_80_columns(runs: Path) -> None:
    lines = compare([runs]).to("table", width=80).split("\n\n", 1)[1].splitlines()
    lora = next(line for line in lines if line.startswith("lora  "))
    assert lora.split() == [
        *("lora", "0.958", "[0.953,", "0.963]", "(3)", "-0.006", "±", "0.009"),
        *("75.7k", "(0.33%)", "512", "MB"),
    ]
    names = [line.split()[0] for line in lines if re.match(r"(full|lora|prefix|prompt|TF)", line)]
    assert names == ["full", "lora", "prefix", "prompt", "TF-IDF"]


def test_wide_characters_keep_the_columns_straight(run: WriteRun, runs: Path) -> None:
    run("微調整", 0, 0.9, method="lora", folder="s/wide-s0-0")
    run("lora", 0, 0.8)
    lines = compare([runs]).to("table", width=120).splitlines()
    wide, narrow = (next(x for x in lines if x.startswith(n)) for n in ("微調整", "lora"))
    assert wide.index("0.900") + 3 == narrow.index("0.800")


def test_the_difference_column_and_the_sentence_have_one_interval(
    run: WriteRun, runs: Path
) -> None:
    for name, share in (("full", 0.9), ("lora", 0.8)):
        right = [item < 100 * share for item in range(100)]
        keep(run(name, 0, share), right)
    comparison = compare([runs])
    (found,) = comparison.verdicts
    low, high = found["ci_low"], found["ci_high"]
    assert low is not None and high is not None
    assert f"95% CI {100 * low:.1f} to {100 * high:.1f}" in found["sentence"]
    assert f"-0.100 [{low:.3f}, {high:.3f}]" in comparison.to("table", width=300)
