"""The package as users get it: a wheel that is complete by itself and needs no optional extra."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(command: list[str | Path], cwd: Path, **environment: str) -> str:
    """Standard output of a command that has to succeed, outside the checkout's environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WORKBENCH_RUNS"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# --- what is declared ------------------------------------------------------------------------


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_every_dependency_is_pinned_and_torch_comes_from_any_index():
    from packaging.requirements import Requirement

    extras = PROJECT["optional-dependencies"]
    every = [
        Requirement(line) for group in (PROJECT["dependencies"], *extras.values()) for line in group
    ]
    requirements = [each for each in every if each.name != PROJECT["name"]]
    assert len(requirements) > 20
    pins = pinned()
    for requirement in requirements:
        version = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(version), f"{requirement} but {version} is pinned"
    assert pins["torch"] == "2.13.0"
    assert not [name for name in pins if name.startswith("nvidia")]


def test_the_sets_of_the_demo_and_the_tests_name_extras_that_exist():
    from packaging.requirements import Requirement

    extras = PROJECT["optional-dependencies"]
    demo, test = (
        [Requirement(line) for line in extras[name] if line.startswith(PROJECT["name"])]
        for name in ("demo", "test")
    )
    assert [each.extras for each in demo] == [{"ui", "report"}]
    (whole,) = test
    assert {*whole.extras, "ui", "report", "test"} == set(extras), "the tests need every extra"


def test_the_build_backend_is_pinned_once():
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert backend == [f"hatchling=={pinned()['hatchling']}"]
    assert backend[0] in PROJECT["optional-dependencies"]["dev"]


def test_the_version_is_said_once():
    import workbench

    assert workbench.__version__ == PROJECT["version"]


# --- what imports without the extras ---------------------------------------------------------

IMPORT_ALL = """
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        extras = {"streamlit", "altair", "vl_convert", "ray", "pytest", "playwright"}
        if name.split(".")[0] in extras:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import workbench
names = [m.name for m in pkgutil.walk_packages(workbench.__path__, "workbench.")]
names = [n for n in names if n.rpartition(".")[2] != "__main__"]
# What draws needs the extra `report`; the package report itself says so in words.
names = [n for n in names if not n.startswith(("workbench.report.", "workbench.charts."))]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.mark.slow
def test_every_module_imports_without_the_ui_and_dev_extras():
    assert int(run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, PYTHONPATH=str(ROOT))) > 20


# --- the wheel -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT], out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The ``bin`` folder of a virtual environment that has the wheel but not the checkout.

    The dependencies are this environment's own, seen through a path file, so that nothing is
    downloaded; an editable install is not seen that way, as it is a path file itself.
    """
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    python = Path(paths["scripts"]) / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], home)
    folders = [each for each in sys.path if each.endswith("site-packages")]
    (Path(paths["purelib"]) / "dependencies.pth").write_text("\n".join(folders))
    return Path(paths["scripts"])


def shipped(folder: str) -> set[str]:
    """Relative paths of a folder's files, without what tools leave behind."""
    files = (p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*") if p.is_file())
    left_behind = re.compile(r"__pycache__|\..*")
    return {p.as_posix() for p in files if not any(map(left_behind.fullmatch, p.parts))}


@pytest.mark.slow
def test_the_wheel_holds_the_package_the_recipes_and_the_ui(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, place in [
        ("workbench", "workbench"),
        ("recipes", "workbench/_recipes"),
        ("configs", "workbench/_configs"),
        ("ui", "workbench/_ui"),
    ]:
        expected = {f"{place}/{name}" for name in shipped(folder)}
        assert expected and expected <= names
    assert "workbench/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    outside = {name for name in names if not name.startswith(("workbench/", "peft_workbench-"))}
    assert outside == set()
    assert not [name for name in names if "cache" in str(Path(name).parent)]


@pytest.mark.slow
def test_the_installed_command_lists_the_recipes_of_the_wheel(installed, tmp_path):
    where = run(
        [installed / "python", "-c", "import workbench; print(workbench.__file__)"], tmp_path
    )
    assert Path(where.strip()).is_relative_to(installed.parent)
    listed = run([installed / "workbench", "recipes", "--json"], tmp_path)
    rows = json.loads(listed)["recipes"]
    assert {"bbc-news", "quickstart"} <= {row["study"] for row in rows}
    assert str(ROOT) not in listed


@pytest.mark.slow
@pytest.mark.assets
def test_the_installed_command_trains(installed, tmp_path):
    run(
        [
            installed / "workbench",
            "run",
            "quickstart/lora",
            "--seeds=0",
            "--runs=runs",
            "--set=training.max_steps=2",
            "--set=data.train_size=32",
            "--set=data.validation_size=20",
            "--set=data.test_size=20",
        ],
        tmp_path,
    )
    (result,) = (tmp_path / "runs").glob("quickstart/*/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["export"]["checked"] is True
