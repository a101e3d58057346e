"""Imports point one way, light packages stay light, and nothing unsafe is written."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workbench"
CHECKED = [ROOT / name for name in ("workbench", "ui", "benchmarks", "tests")]

LAYERS = [
    "errors",
    "redact",
    "assets",
    "recipe",
    "store",
    "heavy_imports",
    "data",
    "distributed",
    "tasks",
    "models",
    "inference",
    "methods",
    "training",
    "metrics",
    "adapters",
    "costs",
    "retention",
    "pipeline",
    "explaining",
    "tuning",
    "executors",
]
"""A package sees those before it."""

ASIDE = {
    "jobs": {"errors", "redact", "recipe", "store"},
    "formatting": set(),
    "comparison": {"errors", "recipe", "store", "formatting"},
    "analysis": {"errors", "recipe", "store", "formatting", "comparison"},
    "charts": {"errors", "recipe", "store", "formatting", "comparison", "analysis"},
    "report": {
        *("errors", "recipe", "store", "formatting", "comparison", "analysis", "charts"),
        "__init__",
    },
}
"""Beside the pipeline: they work on recipes and run folders alone."""

ON_TOP = ["services", "new_study", "cli", "__main__", "__init__"]
"""See everything, and those before them."""

TORCH_FREE = [
    "errors",
    "redact",
    "assets",
    "recipe",
    "store",
    "heavy_imports",
    "jobs",
    "formatting",
    "comparison",
    "analysis",
    "charts",
    "report",
    "executors",
    "services",
    "new_study",
    "cli",
    "__init__",
]
HEAVY = ["torch", "transformers", "peft", "accelerate", "datasets", "evaluate"]


def visible_from(package: str) -> set[str]:
    if package in ASIDE:
        return {package} | ASIDE[package]
    if package in LAYERS:
        return set(LAYERS[: LAYERS.index(package) + 1])
    return set(LAYERS) | set(ASIDE) | set(ON_TOP)


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 20
    return found


def package_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def packages_imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and package of every import from workbench, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            # A bare `import workbench` asks where the package lies; whoever runs is in it already.
            names = [alias.name for alias in node.names if alias.name != "workbench"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            # `from workbench import x` may name a package or something of the package itself.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "workbench":
                known = len(parts) > 1 and _is_package(parts[1])
                yield node.lineno, parts[1] if known else "__init__"


def _is_package(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_every_package_has_its_layer():
    packages = {package_of(module) for module in modules()}
    assert packages <= {*LAYERS, *ASIDE, *ON_TOP}, "name the new package in this file's table"


def test_imports_point_one_way():
    wrong = []
    for module in modules():
        package, visible = package_of(module), visible_from(package_of(module))
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for line, imported in packages_imported(tree):
            if imported not in visible:
                wrong.append(f"{module.relative_to(ROOT)}:{line}: {package} imports {imported}")
    assert not wrong, "\n".join(wrong)


def import_graph() -> dict[str, set[str]]:
    """Modules of workbench and ui, and those that each names in an import: at the top, within
    functions, and for types alone."""
    paths = {}
    for root, folder in ((ROOT, PACKAGE), (ROOT / "ui", ROOT / "ui")):
        for path in folder.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            paths[".".join(parts).removesuffix(".__init__")] = path
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {m if m in paths else node.module or "" for m in members}
        graph[name] = named & paths.keys()
    return graph


def test_no_imports_in_a_circle():
    graph = import_graph()
    assert "workbench.comparison.terminal" in graph["workbench.comparison.comparison"]
    assert "compare.draw" in graph["compare.figures"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_light_packages_load_no_torch():
    """In one process, as each takes 0.3 s: what the first to load it is, is said."""
    names = [
        ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in TORCH_FREE
        for module in modules()
        if package_of(module) == package
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
    if name.endswith("components.v2.component"):
        parts = [*call.args, *keywords.values()]
        if not all(isinstance(each, ast.Constant) for each in parts):
            yield call.lineno, f"{name} with code that is not written out there"
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
        "st.components.v2.component('name', html=text)",
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
    harmless = "st.components.v2.component('name', js='export default () => {}'); "
    harmless += "model.eval(); torch.load(path, weights_only=True); run(['ls'], shell=False)"
    assert list(unsafe(ast.parse(harmless))) == []
