"""Compare, Export, and what holds in every view."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from made_runs import RunsFolder, news_recipe
from opening import open_view, texts

import shell
from archives import adapter_zip
from workbench import jobs
from workbench.store import read_run, write_json
from workbench.ui import app_path

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] $a$ [a](javascript:b)"


# --- compare -------------------------------------------------------------------------------


def test_compare_puts_recipes_side_by_side(runs: RunsFolder) -> None:
    runs.add_study()
    runs.add_corrupt()
    app = open_view("compare")
    table = app.dataframe[0].value.set_index("recipe")
    assert table.loc["lora", "accuracy"] == "0.961 ± 0.007"
    assert table.loc["full", "vs baseline"] == "baseline"
    assert table.loc["lora", "vs baseline"].startswith("-0.007")
    assert table.loc["lora", "seeds"] == "0, 1, 2"
    assert table.loc["TF-IDF + logistic regression", "accuracy"] == "0.952"
    assert "Below the axis: majority class 0.230" in texts(app).replace("\\", "")
    assert "1 unreadable run is left out" in texts(app)
    keys = {str(button.key) for button in open_view("compare", view="Download").download_button}
    assert {f"download-{name}" for name in ("csv", "markdown", "latex", "json")} <= keys


def test_compare_says_when_nothing_has_finished(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0, "running")
    assert "Nothing to compare yet" in texts(open_view("compare"))


# --- export --------------------------------------------------------------------------------


def test_export_shows_the_check_and_the_card_as_text(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("export")
    assert app.selectbox(key="run").value == f"news/{path.name}"
    assert "16 examples" in texts(app)
    assert any("<b>Not bold</b>" in code.value for code in app.code)
    assert list(app.dataframe[0].value["file"]) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip


def test_export_warns_of_an_unchecked_adapter(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    result = read_run(path).result
    write_json(path / "result.json", {**result, "export": {"kind": "peft"}})
    assert "not checked" in texts(open_view("export"))


def test_the_zip_holds_the_regular_files_and_no_others(runs: RunsFolder, tmp_path: Path) -> None:
    path = runs.add(news_recipe("lora"), 0)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (path / "adapter" / "link").symlink_to(secret / "key")
    (path / "adapter" / "folder").symlink_to(secret)
    (path / "adapter" / "inner").mkdir()
    (path / "adapter" / "inner" / "more.json").write_text("{}")
    with zipfile.ZipFile(io.BytesIO(adapter_zip(path / "adapter"))) as archive:
        names = sorted(name.partition("/")[2] for name in archive.namelist())
        assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors",
                         "inner/more.json"]  # fmt: skip
        weights = archive.read(f"{path.name}/adapter_model.safetensors")
    assert weights == (path / "adapter" / "adapter_model.safetensors").read_bytes()


# --- what holds everywhere -----------------------------------------------------------------


def test_hostile_text_is_never_markup(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "failed", reason=HOSTILE)
    (path / "log.txt").write_text(HOSTILE)
    with open(path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": "warning", "message": HOSTILE}) + "\n")
    app = open_view("runs", run=f"news/{path.name}")
    for kind in (app.markdown, app.caption, app.warning, app.error, app.header, app.subheader):
        for element in kind:
            assert not re.search(r"(?<!\\)[<*:$[]+(img|bold|red|a\$|a\])", element.value)
            assert not getattr(element.proto, "allow_html", False)
    assert any(HOSTILE in code.value for code in app.code)


def test_escaped_text_reads_as_it_was() -> None:
    for text in (
        HOSTILE,
        "a -> b -- c <- d",
        "http://x.example, www.x.example, me@x.example",
    ):
        escaped = shell.plain(text)
        assert re.sub(r"\\(?=[^\w\s])|\u2060", "", escaped) == text
        assert "://" not in escaped and "www." not in escaped and "->" not in escaped
    assert shell.plain("lora, seed 0") == "lora, seed 0"


def test_no_source_file_renders_html() -> None:
    sources = list(app_path().parent.rglob("*.py"))
    assert len(sources) >= 10
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert "unsafe_allow" not in text and "st.html" not in text, source


def test_the_server_process_never_loads_torch(runs: RunsFolder) -> None:
    runs.add_study()
    views = "".join(
        f"app.switch_page('views/{name}.py').run()\nassert not app.exception\n"
        for name in ("runs", "compare", "export")
    )
    source = (
        f"import sys\nsys.path.insert(0, {str(app_path().parent)!r})\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(app_path())!r}, default_timeout=20).run()\n"
        f"assert not app.exception\n{views}"
        "print(sorted({'torch', 'transformers', 'datasets', 'peft'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True,
                          env=jobs.child_environment())  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr
