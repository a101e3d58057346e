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
    _tokenizer(taken / gguf_file, config.max_position_embeddings).save_pretrained(target)
    return f"{model.num_parameters():,} parameters de-quantised to bfloat16"


def _tokenizer(file: Path, longest: int) -> PreTrainedTokenizerBase:
    """The tokenizer that a GGUF file of SmolLM2's kind describes.

    Built from the file's own fields: transformers reads them differently from version to version
    (5.17 takes the marker of a start for that of an end, 5.23 leaves out the rule for digits).
    """
    from gguf import GGUFReader, TokenType
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    fields = GGUFReader(file).fields
    said = {name: field.contents() for name, field in fields.items() if "tokenizer" in name}
    tokens, kinds = said["tokenizer.ggml.tokens"], said["tokenizer.ggml.token_type"]
    merges = [tuple(each.split(" ")) for each in said["tokenizer.ggml.merges"]]
    pieces = models.BPE(
        {token: i for i, token in enumerate(tokens)},
        merges,
        continuing_subword_prefix="",
        end_of_word_suffix="",
    )
    found = Tokenizer(pieces)
    # llama.cpp (LLAMA_VOCAB_PRE_TYPE_SMOLLM) cuts out every digit before GPT-2's rule applies.
    digits = [pre_tokenizers.Digits(individual_digits=True)]
    digits = digits if said.get("tokenizer.ggml.pre") == "smollm" else []
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.pre_tokenizer = pre_tokenizers.Sequence([*digits, gpt2])
    found.decoder = decoders.ByteLevel()
    found.post_processor = processors.TemplateProcessing(
        single="$A:0", pair="$A:0 $B:1", special_tokens=[]
    )
    found.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == TokenType.CONTROL
        ]
    )
    markers = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    places = {name: said.get(f"tokenizer.ggml.{key}_token_id") for name, key in markers.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=found,
        chat_template=said["tokenizer.chat_template"],
        model_max_length=longest,
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": tokens[i] for name, i in places.items() if i is not None},
    )


STEPS: dict[Preparation, Callable[[Asset, Path, Path], str]] = {
    "dequantise": dequantise,
    "headlines": headlines,
}
"""Each fills the empty folder ``target`` from the folder ``taken``, or raises an AssetError."""
