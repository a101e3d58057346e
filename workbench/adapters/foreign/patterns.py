"""Names and patterns of a foreign config: PEFT matches all of them with every module of the base.

One pattern can take years (``(a+)+!``), and whoever matches it cannot be stopped. So each is first
matched in a process of its own, which has a few seconds.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from workbench.adapters.foreign.files import CONFIG
from workbench.errors import UsageError
from workbench.recipe.suggest import shown

WORKER = Path(__file__).with_name("pattern_worker.py")
SECONDS = 4.0
"""Until the process is ended, which has half of it on a processor."""
MOST_LAYERS = 512
"""After replication; Llama 3.1 405B has 126."""

_PATTERNS = ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save")
_BY_PATTERN = ("rank_pattern", "alpha_pattern")


def check_patterns(values: dict[str, Any], names: Sequence[str]) -> None:
    """Refuses patterns that are none, or that take too long with these names of modules.

    Raises:
        UsageError: naming the key.
    """
    patterns = dict(_patterns(values))
    if not patterns:
        return
    command = [sys.executable, "-P", "-I", "-S", str(WORKER)]
    given = json.dumps({"patterns": patterns, "names": list(names)})
    try:
        done = subprocess.run(
            command, input=given.encode(), capture_output=True, timeout=SECONDS, check=False
        )
        printed, late = done.stdout, done.returncode < 0
    except subprocess.TimeoutExpired as stopped:
        printed, late = stopped.stdout or b"", True
    lines = [json.loads(line) for line in printed.splitlines()]
    error = lines[-1].get("error") if lines else None
    if late or error or len(lines) < len(patterns):
        key = next((line["key"] for line in reversed(lines) if "key" in line), next(iter(patterns)))
        what = "time" if late else "memory"
        took = f"matching it with the {len(names)} modules of the base takes too much {what}"
        raise UsageError(
            f"found {shown(values[key])}",
            where=f"{CONFIG}: {key}",
            why=f"not a pattern: {error}" if error else took,
            fix="name the modules in a list, as PEFT writes them",
        )


def _patterns(values: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for key in _PATTERNS:
        value = values.get(key)
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if found := [text for text in texts if isinstance(text, str)]:
            yield key, found
    for key in _BY_PATTERN:
        if isinstance(by_pattern := values.get(key), dict) and by_pattern:
            yield key, list(by_pattern)


def check_layers(values: dict[str, Any], tensors: int) -> None:
    """Refuses a ``layer_replication`` of more layers than the adapter has tensors for.

    Raises:
        UsageError: also when it is not a list of pairs.
    """
    pairs = values.get("layer_replication")
    if pairs is None:
        return
    are_pairs = isinstance(pairs, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(number) is int and 0 <= number <= MOST_LAYERS for number in pair)
        for pair in pairs
    )
    layers = sum(end - start for start, end in pairs) if are_pairs else 0
    most = min(MOST_LAYERS, tensors)
    if not are_pairs or len(pairs) > most or layers > most:
        raise UsageError(
            f"found {shown(pairs)}",
            where=f"{CONFIG}: layer_replication",
            why=f"pairs of layers are expected, which are {most} layers at most: the adapter has "
            f"{tensors} tensors",
            fix="ask for both files of the same adapter",
        )
