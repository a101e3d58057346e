"""A quantised model becomes a model folder that loads like any other and says the same."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from workbench.assets import ASSETS, fetch
from workbench.assets.cache import manifest_path

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)


def write_gguf(path: Path) -> None:
    """A Llama of 2 layers x 64 in 4 bits with a byte-level tokenizer, like SmolLM2's file."""
    from gguf import GGMLQuantizationType as Q
    from gguf import GGUFWriter
    from gguf.quants import quantize
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    hidden, inner, heads, kv_heads, layers = 64, 96, 4, 2, 2
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*special, *bytes_to_unicode().values(), "ĠĠ"]
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(1e5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(special) + [1] * (len(tokens) - len(special)))
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT)
    random = np.random.default_rng(0)

    def add(name: str, rows: int, columns: int, kind: Q) -> None:
        weight = random.normal(0, 0.1, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, quantize(weight, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), hidden, Q.Q8_0)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for layer in range(layers):
        block, kv = f"blk.{layer}", hidden * kv_heads // heads
        for norm in ("attn_norm", "ffn_norm"):
            scale = random.normal(1, 0.1, hidden).astype(np.float32)
            writer.add_tensor(f"{block}.{norm}.weight", scale)
        for name, rows, columns in (
            ("attn_q", hidden, hidden),
            ("attn_k", kv, hidden),
            ("attn_v", kv, hidden),
            ("attn_output", hidden, hidden),
            ("ffn_gate", inner, hidden),
            ("ffn_up", inner, hidden),
            ("ffn_down", hidden, inner),
        ):
            add(f"{block}.{name}.weight", rows, columns, Q.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def llama(provide, tmp_path):
    """A tiny 4-bit model in the table; its GGUF file lies in ``tmp_path/gguf`` as well."""
    folder = tmp_path / "gguf"
    folder.mkdir()
    write_gguf(folder / "tiny.gguf")
    asset = dataclasses.replace(ASSETS["smollm2-135m"], name="tiny", package="tiny", version="1")
    return provide(asset, {"tiny.gguf": (folder / "tiny.gguf").read_bytes()})


def compare_with_gguf(folder: Path, source: Path, gguf_file: str, text: str) -> None:
    """The folder's model is the GGUF file's, rounded to bfloat16 and nothing else."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    published = AutoModelForCausalLM.from_pretrained(folder)
    assert {weight.dtype for weight in published.parameters()} == {torch.bfloat16}
    assert published.config.tie_word_embeddings
    assert not hasattr(published.config, "quantization_config")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    plain = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf_file, dtype=torch.float32)
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        logits, exact = model(**inputs).logits, plain(**inputs).logits
        for weight in plain.parameters():
            weight.copy_(weight.to(torch.bfloat16))
        rounded = plain(**inputs).logits
    torch.testing.assert_close(logits, rounded, rtol=0, atol=0)
    # bfloat16 keeps 8 bits: each weight is off by at most 2^-9 of itself.
    assert 0 < (logits - exact).norm() < 2**-7 * exact.norm()


def test_a_gguf_file_becomes_a_plain_model_folder(llama, tmp_path):
    import torch

    before = torch.random.get_rng_state()
    folder = fetch(llama.name)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {path.name for path in folder.iterdir()} == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    for path in folder.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
    compare_with_gguf(folder, tmp_path / "gguf", "tiny.gguf", "<|im_start|>user\nIn  2004?")
    summary = json.loads(manifest_path(llama).read_text())["prepared"]["summary"]
    assert summary.endswith("parameters de-quantised to bfloat16")


def test_the_tokenizer_is_the_one_the_file_describes(llama):
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    folder = fetch(llama.name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "In  2004, it's £12.50\n\n  x"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert ids[0] == tokenizer.convert_tokens_to_ids("I"), "no token is put before the text"
    # Every digit stands alone, so the blanks before one stay together.
    assert tokenizer.tokenize("n  20") == ["n", "ĠĠ", "2", "0"]
    assert tokenizer.model_max_length == 128
    message = [{"role": "user", "content": "Hi"}]
    chat = tokenizer.apply_chat_template(message, tokenize=False)
    assert chat == "<|im_start|>user\nHi<|im_end|>\n"
    assert tokenizer(chat)["input_ids"].count(1) == 1, "a marker is one token"
    for config in (AutoConfig, GenerationConfig):
        read = config.from_pretrained(folder)
        assert (read.bos_token_id, read.eos_token_id, read.pad_token_id) == (1, 2, 2)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert tokenizer.unk_token == "<|endoftext|>"


# --- the real one ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The real model, converted here, and the folder with the GGUF file it was made of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("smollm2")))
        source = dataclasses.replace(ASSETS["smollm2-135m"], name="smollm2-gguf", prepare=None)
        patch.setitem(ASSETS, source.name, source)
        yield fetch(source.name), fetch("smollm2-135m")


@pytest.mark.nightly  # the same on a tiny file is part of `make test`
@pytest.mark.assets
def test_smollm2_is_its_gguf_file_in_bfloat16(smollm2):
    source, folder = smollm2
    assert sum(path.stat().st_size for path in folder.iterdir()) == pytest.approx(
        ASSETS["smollm2-135m"].size_bytes, rel=0.01
    )
    text = "In 2004, the BBC reported that sales of digital radios had doubled."
    compare_with_gguf(folder, source, "SmolLM2-135M-Instruct.Q4_1.gguf", text)


@pytest.mark.assets
def test_smollm2_reads_and_speaks_as_its_file_says(smollm2):
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, folder = smollm2
    reader = GGUFReader(source / "SmolLM2-135M-Instruct.Q4_1.gguf")

    def said(key):
        return reader.fields[f"tokenizer.{key}"].contents()

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == said("ggml.tokens")
    assert tokenizer.chat_template == said("chat_template")
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert special == tuple(said(f"ggml.{name}_token_id") for name in ("bos", "eos", "padding"))
    for text in ("In  2004, it's £12.50\n\n  x", "naïve 日本語 🙂\ttab", " leading and trailing "):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    message = [{"role": "user", "content": "What is the capital of France?"}]
    chat = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    assert chat.endswith(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer(chat, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    answer = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert "The capital of France is Paris" in answer
    assert output[0, -1] == tokenizer.eos_token_id, "it knows when it is done"
