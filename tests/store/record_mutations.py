"""Records as a careless or hostile stranger might leave them: a seed decides what is done."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

RECORDS = ("status.json", "result.json", "environment.json", "recipe.yaml", "events.jsonl")
TENSORS = ".safetensors"
"""Of such files the header is changed, which says what lies where."""
FILES = (*RECORDS, "predictions.parquet")


def _deep(levels: int = 400) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value] if levels % 2 else {"a": value}
    return value


VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: float("nan"),
    lambda: float("-inf"),
    lambda: 10**400,
    lambda: -(10**30),
    lambda: 2**62,
    lambda: 1e308,
    lambda: -1,
    lambda: 0,
    lambda: True,
    lambda: "",
    lambda: "text",
    lambda: "\ud800\x1b[2J",
    lambda: "a" * 50_000,
    lambda: [],
    lambda: {},
    lambda: [None, "a", 1.5, [], {}],
    lambda: [[1]],
    lambda: ["full", "lora"],
    lambda: {"name": {"of": ["another", None]}},
    lambda: {"accuracy": "0.9", "": None},
    _deep,
    lambda: _deep(9_001),
)
"""What takes the place of a value."""


def mutate_run(run: Path, seed: int) -> str:
    """Changes one file of a run folder and says what was done to it."""
    chance = random.Random(seed)
    return mutate(
        run / chance.choice(FILES if seed % 3 else ("status.json", "result.json")), chance
    )


def mutate(file: Path, chance: random.Random) -> str:
    """Changes values of a file, or its bytes, and says what was done."""
    content = file.read_bytes()
    if file.suffix not in (".json", ".jsonl", ".yaml", TENSORS) or chance.random() < 0.15:
        file.write_bytes(_damaged(content, chance))
        return f"{file.name}: bytes"
    document = _parsed(file)
    done = [_changed(document, chance) for _ in range(chance.randint(1, 3))]
    try:
        text = _as_text(file, document)
    except (RecursionError, yaml.YAMLError, ValueError):  # what nobody could have written
        text = "[" * 10_000
    changed = text.encode("utf-8", errors="surrogatepass")
    if file.suffix == TENSORS:
        length = int.from_bytes(content[:8], "little")
        changed = len(changed).to_bytes(8, "little") + changed + content[8 + length :]
    file.write_bytes(changed)
    return f"{file.name}: {'; '.join(done)}"


def _damaged(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    flipped = bytes([content[at] ^ (1 << chance.randrange(8))])
    return chance.choice(
        [
            content[:at],
            content[:at] + flipped + content[at + 1 :],
            content[:at] + chance.randbytes(8) + content[at:],
            content[at:],
            b"",
            b"\xff\xfe" + content,
            b"[" * 100_000,
        ]
    )


def _parsed(file: Path) -> Any:
    if file.suffix == TENSORS:
        content = file.read_bytes()
        return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".yaml":
        return yaml.safe_load(text)
    return (
        [json.loads(line) for line in text.splitlines()]
        if file.suffix == ".jsonl"
        else (json.loads(text))
    )


def _as_text(file: Path, document: Any) -> str:
    if file.suffix == ".yaml":
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if file.suffix == ".jsonl" and isinstance(document, list):
        return "".join(json.dumps(row) + "\n" for row in document)
    return json.dumps(document, ensure_ascii=False)


def _changed(document: Any, chance: random.Random) -> str:
    """Walks down to a random place and changes what is there."""
    here, path = document, ""
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return f"{path} is empty"
        key = chance.choice(keys)
        path += f".{key}"
        inner = here[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.25:
            break
        here = inner
    what = chance.randrange(8)
    if what == 0:
        del here[key]
        return f"without {path}"
    if what == 1 and isinstance(here, dict):
        name = chance.choice(["foreign", "\ud800", "a" * 300, "test", "0", "trials"])
        here[name] = chance.choice(VALUES)()
        return f"{path} beside {name[:10]!a}"
    index = chance.randrange(len(VALUES))
    here[key] = VALUES[index]()
    return f"{path} is value {index}"
