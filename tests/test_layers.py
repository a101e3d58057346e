"""Imports point one way, light rooms stay light, and what must never be written is not there."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workbench"
CHECKED = [ROOT / name for name in ("workbench", "ui", "benchmarks", "tests")]

LINE = [
    "errors",
    "assets",
    "recipe",
    "store",
    "loading",
    "hub",
    "data",
    "tasks",
    "deepspeed_settings",
    "launched",
    "processor",
    "devices",
    "models",
    "methods",
    "training",
    "generation",
    "measure",
    "inference",
    "explaining",
    "starting",
    "planning",
    "recipe_setup",
    "preparing",
    "export",
    "importing",
    "environment",
    "logs",
    "stopping",
    "resuming",
    "line",
    "inspecting",
    "runner",
    "tuning",
    "executors",
]
"""A room sees those before it."""

ASIDE = {
    "jobs": {"errors", "recipe", "store"},
    "units": set(),
    "comparison": {"errors", "recipe", "store", "units"},
    "report": {"errors", "recipe", "store", "units", "comparison", "__init__"},
    "published": {"errors", "recipe", "units", "comparison"},
}
"""Beside the line: they work on recipes and run folders alone."""

ON_TOP = ["standby", "playground", "planner", "ui", "cli", "__main__", "__init__"]
"""See everything, and those before them."""

TORCH_FREE = [
    "errors",
    "assets",
    "recipe",
    "store",
    "loading",
    "jobs",
    "units",
    "comparison",
    "report",
    "published",
    "executors",
    "standby",
    "playground",
    "planner",
    "ui",
    "cli",
    "__init__",
]
HEAVY = ["torch", "transformers", "peft", "accelerate", "datasets", "evaluate"]


def visible_from(room: str) -> set[str]:
    if room in ASIDE:
        return {room} | ASIDE[room]
    if room in LINE:
        return set(LINE[: LINE.index(room) + 1])
    return set(LINE) | set(ASIDE) | set(ON_TOP)


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 20
    return found


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def rooms_imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and room of every import from workbench, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            # A bare `import workbench` asks where the package lies; whoever runs is in it already.
            names = [alias.name for alias in node.names if alias.name != "workbench"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            # `from workbench import x` may name a room or something of the package itself.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "workbench":
                known = len(parts) > 1 and _is_room(parts[1])
                yield node.lineno, parts[1] if known else "__init__"


def _is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_every_room_has_its_place():
    rooms = {room_of(module) for module in modules()}
    assert rooms <= {*LINE, *ASIDE, *ON_TOP}, "name the new room in this file's table"


def test_imports_point_one_way():
    wrong = []
    for module in modules():
        room, visible = room_of(module), visible_from(room_of(module))
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for line, imported in rooms_imported(tree):
            if imported not in visible:
                wrong.append(f"{module.relative_to(ROOT)}:{line}: {room} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_light_rooms_load_no_torch():
    """In one process, as each takes 0.3 s: what the first to load it is, is said."""
    names = [
        ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in TORCH_FREE
        for module in modules()
        if room_of(module) == room
    ]
    assert {name.split(".")[1] for name in names if "." in name} >= {*TORCH_FREE} - {"__init__"}
    program = f"""if True:
        import sys
        for name in {names}:
            __import__(name)
            if loaded := {set(HEAVY)} & set(sys.modules):
                sys.exit(f"{{name}} loads {{loaded}}")"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- what must not be written anywhere -------------------------------------------------------

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {
    *("eval", "exec", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load"),
    *(
        "st.html",
        "components.html",
        "st.components.v1.html",
        "pd.read_pickle",
        "pandas.read_pickle",
    ),
}
UNSAFE_IF_TRUE = {"shell", "trust_remote_code", "unsafe_allow_html", "allow_pickle"}


def unsafe(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and reason of everything that could run what a stranger wrote."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            yield from ((node.lineno, n) for n in names if n.split(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node)


def _unsafe_call(call: ast.Call) -> Iterator[tuple[int, str]]:
    name, keywords = ast.unparse(call.func), {k.arg: k.value for k in call.keywords}
    if name in UNSAFE_CALLS:
        yield call.lineno, name
    true = {k for k, v in keywords.items() if isinstance(v, ast.Constant) and v.value is True}
    yield from ((call.lineno, f"{k}=True") for k in sorted(true & UNSAFE_IF_TRUE))
    if name == "torch.load" and "weights_only" not in true:
        yield call.lineno, "torch.load without weights_only=True"


@pytest.mark.parametrize("folder", CHECKED, ids=lambda folder: folder.name)
def test_nothing_unsafe_is_written(folder):
    files = [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]
    assert files, f"nothing to check in {folder}"
    found = [
        f"{path.relative_to(ROOT)}:{line}: {reason}"
        for path in files
        for line, reason in unsafe(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "import joblib",
        "pd.read_pickle(path)",
        "st.html(text)",
        "eval('1')",
        "import os; os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "st.markdown(text, unsafe_allow_html=True)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_the_check_sees_what_is_unsafe(source):
    assert list(unsafe(ast.parse(source)))


def test_the_check_lets_the_harmless_pass():
    harmless = "model.eval(); torch.load(path, weights_only=True); run(['ls'], shell=False)"
    assert list(unsafe(ast.parse(harmless))) == []
