"""Holds a foreign adapter against its base: the tensors that PEFT would look for, name by name."""

import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_model, get_peft_model_state_dict
from peft import __version__ as peft_version
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from pydantic import ValidationError

from workbench.adapters.folder import ABOUT, check_weights
from workbench.adapters.foreign.base import LocalBase
from workbench.adapters.foreign.config import AdapterConfig
from workbench.adapters.foreign.files import ALLOWED, CONFIG, WEIGHTS
from workbench.adapters.foreign.header import TensorHeader
from workbench.adapters.foreign.patterns import check_patterns
from workbench.adapters.save import describe
from workbench.errors import ExportError, UsageError
from workbench.methods import AdaptedModel
from workbench.models import Base, empty_base, load_tokenizer
from workbench.recipe.catalogue import REGRESSION
from workbench.recipe.renamed import as_today
from workbench.recipe.schema import ModelSpec
from workbench.recipe.suggest import did_you_mean, shown
from workbench.recipe.tasks import TASK_SPECS, TaskSpec
from workbench.store import read_json, write_json
from workbench.tasks import TASKS, AnyTask, make_task

Tensors = dict[str, TensorHeader]

_LONGEST = 512
"""Tokens of text where the adapter does not say how many it was trained with."""


def fit(
    received: Path,
    built: Path,
    config: AdapterConfig,
    tensors: Tensors,
    found: LocalBase,
    labels: Sequence[str],
) -> None:
    """Writes what `export` would have written for this adapter on this base.

    Raises:
        ExportError: when tensors are missing, left over or of another shape than the base asks
            for, the task head is not among them, or the labels are not as many as its outputs.
        UsageError: when config or tokenizer hold what is not known here.
    """
    check_weights(received)
    about = as_today(read_json(received / ABOUT) or {})
    task = _task(config, about, received, found, tensors, labels)
    base = empty_base(ModelSpec(source=str(found.folder)), task)
    peft_config = _peft_config(config)
    for name, _ in base.model.named_parameters() if base.new_head else ():
        if name.partition(".")[0] in base.head_names:
            _found(config.head_prefix + name, tensors)
    check_patterns(config.values, [name for name, _ in base.model.named_modules()])
    model = _wrapped(base, peft_config)
    _check_tensors(get_peft_model_state_dict(model, save_embedding_layers=False), tensors, found)
    tokenizer = _tokenizer(received, built, found, base)
    if task.model_inputs is not None:
        tokenizer.model_input_names = list(task.model_inputs)
    base = replace(base, tokenizer=tokenizer, public_name=found.name, revision=found.revision)
    base.config.pad_token_id = tokenizer.pad_token_id
    base.config.dtype = torch.float32
    base.config.architectures = [type(base.model).__name__]
    base.config.save_pretrained(built)
    tokenizer.save_pretrained(built)
    known = {field.name for field in fields(peft_config)}
    values = {key: value for key, value in config.values.items() if key in known}
    values |= {"base_model_name_or_path": found.name, "revision": found.revision}
    write_json(built / CONFIG, values)
    for name in (WEIGHTS, "README.md"):
        if (received / name).is_file():
            (received / name).rename(built / name)
    tokens = getattr(peft_config, "num_virtual_tokens", 0) if peft_config.is_prompt_learning else 0
    before_text = 0 if config.peft_type == "PREFIX_TUNING" else tokens
    adapted = AdaptedModel(model=model, base=base, virtual_tokens=before_text)
    room = int(getattr(base.config, "max_position_embeddings", None) or _LONGEST) - tokens
    known_length = about.get("max_length")
    if type(known_length) is not int or not 4 <= known_length <= room:
        known_length = max(4, min(_LONGEST, room))
    describe(built, adapted, task, "peft", known_length)


def _task(
    config: AdapterConfig,
    about: dict[str, Any],
    received: Path,
    found: LocalBase,
    tensors: Tensors,
    labels: Sequence[str],
) -> AnyTask:
    spec = _task_spec(config, about)
    if not hasattr(spec, "labels"):
        return make_task(spec, ())
    outputs = _outputs(config, found, tensors)
    if outputs == 1 and hasattr(spec, "problem_type"):
        return make_task(spec.model_copy(update={"problem_type": REGRESSION}), ())
    names = list(labels) or _recorded_labels(about, received)
    names = names or [f"LABEL_{index}" for index in range(outputs)]
    if len(names) != outputs or len(set(names)) != outputs:
        raise ExportError(
            f"{len(set(names))} labels ({shown(names)}) for a head with {outputs} outputs",
            where="--label" if labels else f"{ABOUT} or config.json: id2label",
            why="an answer is the name of the output with the highest score",
            fix=f"name {outputs} labels with --label, in the order of the outputs",
        )
    return make_task(spec, names)


def _task_spec(config: AdapterConfig, about: dict[str, Any]) -> TaskSpec:
    """What the adapter's own record says of the task, if it is of the type that PEFT was told."""
    recorded = about.get("task")
    if isinstance(recorded, dict) and recorded.get("name") in TASKS:
        name = recorded["name"]
        if TASKS[name].auto_class == TASKS[config.task].auto_class:
            try:
                return TASK_SPECS[name].model_validate(recorded)
            except ValidationError as error:
                first = error.errors()[0]
                raise UsageError(
                    f"its record of the task is not readable: {first['msg']}",
                    where=f"{ABOUT}: task",
                    fix=f"leave {ABOUT} out",
                ) from error
    return TASK_SPECS[config.task].model_validate({"name": config.task})


def _recorded_labels(about: dict[str, Any], received: Path) -> list[str]:
    labels = about.get("labels")
    if not labels:
        by_index = (read_json(received / "config.json") or {}).get("id2label")
        labels = list(by_index.values()) if isinstance(by_index, dict) else []
    plain = isinstance(labels, list) and all(isinstance(n, str) and n.strip() for n in labels)
    return labels if plain else []


def _outputs(config: AdapterConfig, found: LocalBase, tensors: Tensors) -> int:
    """Outputs of the task head: the size in which two heads of the same base differ."""
    spec = TASK_SPECS[config.task].model_validate({"name": config.task})
    two, three = (
        empty_base(ModelSpec(source=str(found.folder)), make_task(spec, names)).model
        for names in (("0", "1"), ("0", "1", "2"))
    )
    others = three.state_dict()
    for name, tensor in two.state_dict().items():
        if tensor.shape != others[name].shape:
            return _found(config.head_prefix + name, tensors).shape[0]
    return 0


def _found(name: str, tensors: Tensors) -> TensorHeader:
    tensor = tensors.get(name)
    if tensor is None or not tensor.shape:
        raise ExportError(
            f"the task head is missing: there is no tensor {name}",
            where=WEIGHTS,
            why="a base model has no head for the task, and PEFT would leave one at random",
            fix="ask for the adapter saved with its head (modules_to_save in its PEFT config)",
        )
    return tensor


def _peft_config(config: AdapterConfig) -> PeftConfig:
    config_class = {str(k.value): v for k, v in PEFT_TYPE_TO_CONFIG_MAPPING.items()}[
        config.peft_type
    ]
    known = {field.name for field in fields(config_class)}
    unknown = {key: value for key, value in config.values.items() if key not in known}
    # A newer PEFT writes its new fields into every config; unused, they change nothing.
    used = [key for key, value in unknown.items() if value not in (None, False, "", [], {})]
    if used:
        raise UsageError(
            f"{config_class.__name__} of PEFT {peft_version} has no field {used[0]!r} "
            f"(it is {shown(config.values[used[0]])})",
            where=f"{CONFIG}: {used[0]}",
            why=f"{did_you_mean(used[0], known)} The adapter may be of a newer PEFT, which loads "
            "it in another way".strip(),
            fix="update peft, or ask for the adapter saved without that field",
        )
    # Without a name of the base, for PEFT warns that the one that is here has another.
    left = known - {"peft_type", "base_model_name_or_path"}
    values = {key: value for key, value in config.values.items() if key in left}
    try:
        made: PeftConfig = config_class(**values)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{config_class.__name__} refuses these values: {error}", where=CONFIG
        ) from error
    return made


def _wrapped(base: Base, config: PeftConfig) -> Any:
    """The base with the adapter on the meta device: every shape, and not one number."""
    try:
        with torch.device("meta"):
            return get_peft_model(base.model, config, low_cpu_mem_usage=True)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise ExportError(
            f"PEFT cannot put it on {base.config.model_type}: {str(error)[:300]}",
            where=CONFIG,
            why="adapter and base are not made for each other",
            fix="name the base that it was trained on with --base",
        ) from error


def _check_tensors(wanted: dict[str, torch.Tensor], tensors: Tensors, found: LocalBase) -> None:
    other = [n for n in wanted if n in tensors and tuple(wanted[n].shape) != tensors[n].shape]
    missing = [n for n in wanted if n not in tensors]
    extra = [n for n in tensors if n not in wanted]
    if other:
        name = other[0]
        what = f"{len(other)} tensors have another shape, e.g. {name}: {tensors[name].shape}, "
        what += f"where {tuple(wanted[name].shape)} is needed"
    elif missing:
        what = f"{len(missing)} tensors are missing, e.g. {missing[0]}"
    elif extra:
        what = f"{len(extra)} tensors have no place in it, e.g. {extra[0][:100]}"
    else:
        return
    raise ExportError(
        f"the weights do not fit {found.name}: {what}",
        where=WEIGHTS,
        why="they are of another base, or of another adapter than the config",
        fix="name the base that it was trained on with --base, and take both files of one adapter",
    )


def _tokenizer(received: Path, built: Path, found: LocalBase, base: Base) -> Any:
    """The adapter's own tokenizer if it brings one, without any code of its own, or the base's."""
    own = [name for name in ALLOWED if name not in (CONFIG, WEIGHTS, "README.md", ABOUT)]
    for name in own:
        if name != "config.json" and (received / name).is_file():
            _refuse_auto_map(received / name)
            shutil.copyfile(received / name, built / name)
    # Beside the files that transformers goes by stands the base's config, never the adapter's.
    base.config.save_pretrained(built)
    brings_one = any((built / name).is_file() for name in ("tokenizer.json", "vocab.txt"))
    tokenizer = _own_tokenizer(built) if brings_one else _tokenizer_of(found.folder)
    if len(tokenizer) > base.config.vocab_size:
        raise ExportError(
            f"its tokenizer has {len(tokenizer):,} tokens, the base {base.config.vocab_size:,}",
            where="tokenizer.json",
            why="a token that the base has no embedding of cannot be read",
            fix="leave the tokenizer's files out, and the base's own is taken",
        )
    return tokenizer


def _tokenizer_of(folder: Path) -> Any:
    return load_tokenizer(ModelSpec(source=str(folder)))


def _own_tokenizer(built: Path) -> Any:
    try:
        return _tokenizer_of(built)
    except UsageError as error:
        raise UsageError(
            error.what.replace(repr(str(built)), "in the adapter"),
            where="tokenizer.json, tokenizer_config.json",
            why=error.why,
            fix="leave the tokenizer's files out, and the base's own is taken",
        ) from error


def _refuse_auto_map(path: Path) -> None:
    if path.suffix == ".json" and "auto_map" in (read_json(path) or {}):
        raise UsageError(
            "a tokenizer with code of its own",
            where=f"{path.name}: auto_map",
            why="code that comes with an adapter is never run",
            fix="leave the tokenizer's files out, and the base's own is taken",
        )
