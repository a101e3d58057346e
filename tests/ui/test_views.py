"""Compare, Export, and what holds in every view."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from made_runs import RunsFolder, news_recipe
from made_searches import add_searches
from opening import open_view, texts, written
from streamlit.testing.v1 import AppTest

import layout
import run_cli
from export.archives import adapter_zip
from workbench import jobs
from workbench.adapters.foreign import Proposal
from workbench.cli.ui_server import app_path
from workbench.store import read_run, write_json

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] $a$ [a](javascript:b)"


# --- compare -------------------------------------------------------------------------------


def test_compare_puts_recipes_side_by_side(runs: RunsFolder) -> None:
    runs.add_study()
    runs.add_corrupt()
    app = open_view("compare")
    table = written(app).set_index("recipe")
    assert table.loc["lora", "accuracy"] == "0.961 [0.953, 0.968]"
    assert table.loc["lora", "seeds"] == "3"
    assert table.loc["full", "Δ vs full"] == "baseline"
    assert table.loc["lora", "Δ vs full"].startswith("-0.007")
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


def test_export_shows_no_file_that_the_card_is_a_link_to(runs: RunsFolder, tmp_path: Path) -> None:
    card = runs.add(news_recipe("lora")) / "adapter" / "README.md"
    (tmp_path / "secret").write_text("of somebody else")
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    for edit in ("", "true"):
        app = open_view("export", edit=edit)
        assert "of somebody else" not in texts(app) + "".join(a.value for a in app.text_area)


def test_export_warns_of_an_unchecked_adapter(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    result = read_run(path).result
    write_json(path / "result.json", {**result, "export": {"kind": "peft"}})
    assert "not verified" in texts(open_view("export"))


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


def test_an_edited_card_leaves_with_the_copy_alone(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("export", edit="true")
    (editor,) = app.text_area
    assert "<b>Not bold</b>" in editor.value
    editor.set_value("# Mine").run()
    assert "Changed" in texts(app)
    with zipfile.ZipFile(io.BytesIO(adapter_zip(path / "adapter", "# Mine"))) as archive:
        assert archive.read(f"{path.name}/README.md") == b"# Mine"
        assert len(archive.namelist()) == len(set(archive.namelist())) == 3
    assert "Not bold" in (path / "adapter" / "README.md").read_text()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What the command line was asked to do, instead of doing it."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def ask(
        arguments: list[str | Path], *, environment: dict[str, str] | None = None
    ) -> dict[str, object]:
        calls.append(([str(each) for each in arguments], dict(environment or {})))
        return {"pushed": "https://hub.example/me/mine"}

    monkeypatch.setattr("export.export_actions.ask", ask)
    monkeypatch.setattr("export.import_tab.ask", ask)
    return calls


def test_merging_writes_beside_the_runs(
    runs: RunsFolder, asked: list[tuple[list[str], dict[str, str]]]
) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("export")
    app.button(key="merge").click().run()
    ((command, _),) = asked
    assert command[:3] == ["export", str(path), "--output"] and command[4:] == ["--merge"]
    assert Path(command[3]).parent == runs.path.parent / "exports"
    assert command[3] in texts(app)


def test_a_token_reaches_the_upload_and_nothing_else(
    runs: RunsFolder,
    asked: list[tuple[list[str], dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    runs.add(news_recipe("lora"), 0)
    app = open_view("export")
    repository, token = _push_fields(app)
    repository.set_value("me/mine")
    token.set_value("hf_canary12345")
    app.button(key="push-now").click().run()
    ((command, environment),) = asked
    assert command[-2:] == ["--push", "me/mine"]
    assert environment == {"HF_TOKEN": "hf_canary12345"}
    assert "https://hub.example/me/mine" in texts(app)
    assert "canary" not in texts(app) and "canary" not in " ".join(command)
    assert "canary" not in repr(app.session_state)
    _, token = _push_fields(app)
    token.set_value("hf_canary12345")
    repository, _ = _push_fields(app)
    repository.set_value("../../etc")
    app.button(key="push-now").click().run()
    assert "is not a Hub repository" in texts(app)
    assert len(asked) == 1


def _push_fields(app: AppTest) -> tuple[Any, Any]:
    fields = {widget.label: widget for widget in app.text_input}
    return fields["Repository"], fields["Token"]


def test_what_a_command_says_never_holds_the_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "command"
    script.write_text(f"#!{sys.executable}\nimport os, sys\nsys.exit('403: ' + os.environ['T'])\n")
    script.chmod(0o755)
    monkeypatch.setattr("run_cli.sys.executable", str(script))
    with pytest.raises(run_cli.NotAnswered) as caught:
        run_cli.ask(["export"], environment={"T": "hf_canary12345"})
    assert "403: ***" in str(caught.value) and "canary" not in str(caught.value)


def test_an_adapter_comes_in_only_with_its_base_confirmed(
    runs: RunsFolder,
    asked: list[tuple[list[str], dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposal = Proposal(
        method="LORA",
        task="SEQ_CLS",
        base="some/base",
        revision=None,
        base_folder=Path("/base"),
        named_base="other/base",
        tensors=8,
        weight_bytes=4096,
    )
    monkeypatch.setattr("workbench.adapters.foreign.propose", lambda source, base: proposal)
    app = open_view("export")
    app.text_input(key="from").set_value("/downloads/theirs.zip").run()
    assert "some/base" in texts(app) and "other/base" in texts(app)
    app.button(key="import-now").click().run()
    assert "has to be confirmed" in texts(app) and not asked
    app.checkbox(key="base-confirmed").check()
    _called(app).set_value("../theirs")
    app.button(key="import-now").click().run()
    assert "cannot be a name" in texts(app) and not asked
    _called(app).set_value("theirs")
    app.button(key="import-now").click().run()
    ((command, _),) = asked
    target = str(runs.path.parent / "adapters" / "theirs")
    assert command == ["import", "/downloads/theirs.zip", "--output", target, "--yes"]


def _called(app: AppTest) -> Any:
    return next(widget for widget in app.text_input if widget.label == "Name")


@pytest.mark.parametrize("what", ["nothing", "a text", "a bomb"])
def test_what_is_no_adapter_is_refused_in_words(
    what: str, runs: RunsFolder, tmp_path: Path
) -> None:
    file = tmp_path / "given.zip"
    if what == "nothing":
        file.write_bytes(b"")
    elif what == "a text":
        file.write_text("PK not at all")
    else:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("adapter_model.safetensors", bytes(50_000_000))
    app = open_view("export")
    app.text_input(key="from").set_value(str(file)).run()
    assert not app.exception
    said = texts(app)
    assert "neither a folder nor a zip" in said or "would grow from" in said


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
        escaped = layout.plain(text)
        assert re.sub(r"\\(?=[^\w\s])|\u2060", "", escaped) == text
        assert "://" not in escaped and "www." not in escaped and "->" not in escaped
    assert layout.plain("lora, seed 0") == "lora, seed 0"


def test_no_source_file_renders_html() -> None:
    sources = list(app_path().parent.rglob("*.py"))
    assert len(sources) >= 10
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert "unsafe_allow" not in text and "st.html" not in text, source


def test_the_server_process_never_loads_torch(runs: RunsFolder) -> None:
    runs.add_study()
    add_searches(runs)
    views = "".join(
        f"app.switch_page('views/{name}.py').run()\nassert not app.exception\n"
        for name in ("study", "new", "runs", "compare", "playground", "export", "runs")
    )
    views += "app.query_params['what'] = 'Searches'\napp.run()\nassert not app.exception\n"
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
