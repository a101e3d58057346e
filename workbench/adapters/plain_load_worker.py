"""Loads an exported folder the way a stranger would and answers texts one by one.

This file imports transformers, peft, safetensors and the standard library, nothing of the
workbench, and is run as a program of its own: ``python plain_load_worker.py``. It reads one JSON
request a line, forks a fresh process for each (so that imports are paid once) and prints one JSON
answer a line, after a line of its own when it is ready. A request: {"folder", "base", "revision",
"offline", "auto_class", "kind", "other_head", "embedding_rows", "loading", "output", "skip",
"max_length", "inputs"}, where "loading" is what else ``from_pretrained`` is told, and an input is
{"text", "text_pair"} or {"input_ids", "token_type_ids"} and, for log-probabilities, {"positions",
"tokens"}; the answer: {"outputs": [[...], ...]} or {"error": "..."}. A request with a "program", a
file's path, is answered by its ``run(request, load)`` instead.
"""

import json
import os
import runpy
import sys
import traceback
import warnings
from typing import Any


def load(request: dict[str, Any]) -> tuple[Any, Any]:
    """The model and tokenizer of an exported folder, as its model card says to load them."""
    import transformers
    from peft import PeftModel
    from safetensors.torch import load_file

    folder, base = request["folder"], request["base"]
    auto = getattr(transformers, request["auto_class"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if request["kind"] == "full":
        return auto.from_pretrained(folder).eval(), tokenizer
    config = transformers.AutoConfig.from_pretrained(folder)
    # Where the base has a head of another size, which a plain load has to be told.
    sizes = {"ignore_mismatched_sizes": True} if request["other_head"] else {}
    revision = request["revision"] or "main"
    loading = dict(request.get("loading", {}))
    if "quantization_config" in loading:
        quantised = transformers.BitsAndBytesConfig(**loading["quantization_config"])
        loading["quantization_config"] = quantised
    model = auto.from_pretrained(base, revision=revision, config=config, **sizes, **loading)
    if request["embedding_rows"]:  # for new tokens, whose values the adapter brings
        model.resize_token_embeddings(request["embedding_rows"], mean_resizing=False)
    if request["kind"] == "peft":
        model = PeftModel.from_pretrained(model, folder)
    else:
        state = load_file(os.path.join(folder, "trained_weights.safetensors"))
        _, unexpected = model.load_state_dict(state, strict=False)
        if unexpected:
            raise ValueError(f"tensors that the base does not have: {unexpected}")
    return model.eval(), tokenizer


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the model says of each input, alone in its batch and so without padding."""
    import torch

    if request["offline"]:  # found out since this process started
        sys.modules["huggingface_hub.constants"].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    if "program" in request:
        return runpy.run_path(request["program"])["run"](request, load)  # type: ignore[no-any-return]
    model, tokenizer = load(request)
    outputs = []
    with torch.inference_mode():
        for given in request["inputs"]:
            if "text" in given:
                pair = given["text_pair"]
                inputs = tokenizer(  # lists: of one text an empty second one would be left out
                    [given["text"]],
                    None if pair is None else [pair],
                    truncation=True,
                    max_length=request["max_length"],
                    return_tensors="pt",
                )
            else:
                names = ("input_ids", "token_type_ids")
                inputs = {n: torch.tensor([given[n]]) for n in names if n in given}
                inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            outputs.append(_read(model(**inputs), request, given))
    assert not any(name.split(".")[0] == "workbench" for name in sys.modules)
    return {"outputs": outputs}


def _read(output: Any, request: dict[str, Any], given: dict[str, Any]) -> list[float]:
    """The numbers asked for; the first ``skip`` positions are a soft prompt's own."""
    skip = request["skip"]
    if request["output"] == "spans":
        return [*output.start_logits[0, skip:].tolist(), *output.end_logits[0, skip:].tolist()]
    if request["output"] == "log_probs":
        log_probs = output.logits[0, skip:].float().log_softmax(-1)
        pairs = zip(given["positions"], given["tokens"], strict=True)
        return [float(log_probs[position, token]) for position, token in pairs]
    logits = output.logits[0]
    return (logits[skip:] if logits.ndim > 1 else logits).flatten().tolist()  # type: ignore[no-any-return]


def serve() -> None:
    """Answers requests until the input ends."""
    warnings.filterwarnings("ignore")
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not between the answers
    # bitsandbytes, which peft imports, takes code from the Hub where this package is installed.
    sys.modules["kernels"] = None  # type: ignore[assignment]
    import peft  # noqa: F401  # imported before forking, so that each answer does not pay for it
    import transformers  # noqa: F401

    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                result = answer(json.loads(line))
            except Exception as error:
                result = {
                    "error": f"{type(error).__name__}: {error}",
                    "trace": traceback.format_exc(),
                }
            with os.fdopen(writing, "w") as out:
                json.dump(result, out)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as incoming:
            text = incoming.read()
        os.waitpid(child, 0)
        answers.write((text or json.dumps({"error": "the loading process died"})) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
