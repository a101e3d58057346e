"""Tokenizers and language models with a vocabulary small enough to be read, made in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn

from workbench.data.batches import IGNORED, Batch, pad, padded
from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.inference.predict import predict
from workbench.tasks import AnyTask, Predicted

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|end|>", "<|begin|>", "<|im_start|>", "<|im_end|>"]


def byte_tokenizer(
    *,
    begins: bool = False,
    end: str | None = "<|end|>",
    template: str | None = None,
    merges: Sequence[tuple[str, str]] = (),
) -> Any:
    """One token per byte, as GPT-2's tokenizer has before any merge; any text goes through it."""
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    vocabulary = {symbol: i for i, symbol in enumerate([*SPECIAL, *symbols])}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", 1)]
        )
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin|>" if begins else None,
        eos_token=end,
        pad_token="<|end|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    made.chat_template = template
    return made


def word_piece_tokenizer() -> Any:
    """BERT's kind of tokenizer; "goals" is two pieces."""
    words = ["goal", "match", "player", "bank", "profit", "the", "of", "##s", "##ed", ".", "un"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad", "unk", "cls", "sep", "mask")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": f"[{name.upper()}]" for name in names}
    )


def language_model(family: str, vocabulary: int) -> Any:
    """Two layers of a random GPT-2, Llama, BERT or RoBERTa with its output layer, no dropout."""
    torch.manual_seed(0)
    size = {"vocab_size": vocabulary, "initializer_range": 0.3}
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if family == "gpt2":
        drop = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        gpt2 = transformers.GPT2Config(
            **size, **drop, n_positions=128, n_embd=32, n_layer=2, n_head=2
        )
        return transformers.GPT2LMHeadModel(gpt2)
    shape |= {"intermediate_size": 48, "max_position_embeddings": 128}
    if family == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**size, **shape))
    if family == "roberta":
        roberta = transformers.RobertaConfig(**size, **shape, **no_dropout, pad_token_id=0)
        return transformers.RobertaForMaskedLM(roberta)
    return transformers.BertForMaskedLM(transformers.BertConfig(**size, **shape, **no_dropout))


def encoded_by(task: AnyTask, tokenizer: Any, examples: Examples, max_length: int) -> Encoded:
    """Features of a few examples, past the cache."""
    return encode(examples, task.encoder(tokenizer, max_length), tokenizer, cached=False)


def texts_only(*texts: str) -> Examples:
    """Examples without labels."""
    return Examples(
        ids=tuple(f"t{i}" for i in range(len(texts))),
        texts=texts,
        pairs=None,
        labels=("",) * len(texts),
    )


def whole_batch(task: AnyTask, tokenizer: Any, encoded: Encoded) -> Batch:
    """All features of a split in one padded batch."""
    rows = task.rows(encoded, range(len(encoded)), (0, 0))
    return pad(rows, tokenizer, int(encoded.lengths.max()))


def label_tensor(batch: Batch) -> torch.Tensor:
    """Labels as transformers' own losses take them, (batch, seq)."""
    width = batch.inputs["input_ids"].shape[1]
    return padded([row["labels"] for row in batch.rows], width, IGNORED)


def predicted_by(
    task: AnyTask,
    model: nn.Module,
    tokenizer: Any,
    encoded: Encoded,
    *,
    size: int = 8,
    virtual_tokens: int = 0,
) -> Predicted:
    """What the workbench makes of a split."""
    return predict(
        model, task, encoded, tokenizer, None, batch_size=size, virtual_tokens=virtual_tokens
    )


def plain_log_probs(model: nn.Module, request: dict[str, Any], skip: int = 0) -> list[float]:
    """What plain transformers + PEFT answer to a task's ``plain_request``."""
    with torch.inference_mode():
        ids = torch.tensor([request["input_ids"]])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, skip:]
    log_probs = logits.float().log_softmax(-1)
    pairs = zip(request["positions"], request["tokens"], strict=True)
    return [float(log_probs[position, token]) for position, token in pairs]
