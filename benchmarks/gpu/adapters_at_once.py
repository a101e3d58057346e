"""Small trainings on a frozen base: what would win on a card?

One adapter in plain steps (as a run trains), the same step as a CUDA graph, several adapters over
one base in one pass, and processes side by side. Several in a pass are worth building only where
they reach 1.5 times what graph and processes reach.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

RANK, LABELS, WARM_UP = 8, 5, 3
WORTH_IT = 1.5
COMPILING = 20
"""Seconds that compiling one width may take: a run meets some ten of them."""
Step = Callable[[], float]


class Adapters(nn.Module):
    """A frozen layer with the LoRA matrices of several members, each for its part of the batch."""

    def __init__(self, base: nn.Linear, members: int) -> None:
        super().__init__()
        self.base, self.members = base, members
        rows, columns = base.weight.shape
        made = {"device": base.weight.device}
        self.down = nn.Parameter(torch.randn(members, RANK, columns, **made) / columns**0.5)
        self.up = nn.Parameter(torch.randn(members, rows, RANK, **made) * 1e-3)

    def forward(self, inputs: Tensor) -> Tensor:
        each = inputs.reshape(self.members, -1, inputs.shape[-1])
        added = each @ self.down.mT @ self.up.mT
        out: Tensor = self.base(inputs)
        return out + 2.0 * added.view_as(out)


class Heads(nn.Module):
    def __init__(self, width: int, members: int, device: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, LABELS, width, device=device) * 0.02)

    def forward(self, inputs: Tensor) -> Tensor:
        members = len(self.weight)
        each = inputs.reshape(members, -1, inputs.shape[-1]) @ self.weight.mT
        return each.view(*inputs.shape[:-1], LABELS)


def model_with(kind: str, members: int, device: str, *, tiny: bool) -> Any:
    """A model of BERT-base's or SmolLM2's size with random weights in bf16."""
    torch.manual_seed(0)
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128, "vocab_size": 1000}  # fmt: skip
    if kind == "bert":
        none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config: Any = transformers.BertConfig(**none, **(small if tiny else {}))
        model: Any = transformers.BertForSequenceClassification(config)
        adapted, head = ("query", "value"), "classifier"
    else:
        full = {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
                "num_key_value_heads": 3, "intermediate_size": 1536,
                "vocab_size": 49152}  # fmt: skip
        config = transformers.LlamaConfig(**(small if tiny else full), pad_token_id=0)
        model = transformers.LlamaForSequenceClassification(config)
        adapted, head = ("q_proj", "v_proj"), "score"
    model.to(device).train().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.to(torch.bfloat16)
    for name, layer in list(model.named_modules()):
        parent, _, leaf = name.rpartition(".")
        if leaf in adapted:
            setattr(model.get_submodule(parent), leaf, Adapters(layer, members))
    setattr(model, head, Heads(config.hidden_size, members, device))
    return model


def step_of(
    kind: str,
    shape: tuple[int, int],
    members: int,
    *,
    tiny: bool,
    graph: bool = False,
    compiled: bool = False,
) -> Step:
    """A training step, as a run's: bf16 autocast, clipping, fused AdamW, the loss is read."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model_with(kind, members, device, tiny=tiny)
    trained = [p for p in model.parameters() if p.requires_grad]
    if compiled:
        model = torch.compile(model, dynamic=False)
    optimizer = torch.optim.AdamW(trained, lr=1e-3, fused=True, capturable=graph)
    batch, width = shape
    words = torch.randint(5, model.config.vocab_size, (members * batch, width), device=device)
    labels = torch.randint(0, LABELS, (members * batch,), device=device)

    def train() -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            logits = model(input_ids=words).logits
        losses = functional.cross_entropy(logits.float(), labels, reduction="none")
        loss = losses.view(members, batch).mean(1).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
        optimizer.step()
        return loss.detach()

    def plain() -> float:
        loss = train()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    return _captured(train, trained) if graph else plain


def _captured(train: Callable[[], Tensor], trained: list[nn.Parameter]) -> Step:
    gradients = [torch.zeros_like(parameter) for parameter in trained]
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.grad = gradient

    def step() -> Tensor:
        torch._foreach_zero_(gradients)
        return train()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay() -> float:
        graph.replay()
        return float(loss)

    return replay


def pace(step: Step, seconds: float) -> float:
    """Seconds of a step, the median."""
    for _ in range(WARM_UP):
        step()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < WARM_UP:
        started = time.perf_counter()
        step()  # which waits for its loss
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def rows(*, pretend: bool) -> Iterator[dict[str, Any]]:
    """Gains in trained examples per second over one adapter in plain steps."""
    shapes = [(4, 16)] if pretend else [(4, 64), (16, 128)]
    seconds = 0.2 if pretend else 1.0
    for kind in ("bert", "llama"):
        for shape in shapes:
            name = f"{kind} {shape[0]} x {shape[1]}"
            alone = pace(step_of(kind, shape, 1, tiny=pretend), seconds)
            yield {"what": f"{name}: a plain step", "value": f"{1e3 * alone:.1f} ms",
                   "verdict": "measured"}  # fmt: skip
            gains = {}
            if torch.cuda.is_available():
                try:
                    graph = step_of(kind, shape, 1, tiny=pretend, graph=True)
                    gains["CUDA graph"] = alone / pace(graph, seconds)
                except RuntimeError as error:  # what a capture does not allow
                    why = str(error).strip().partition("\n")[0]
                    yield {"what": f"{name}: CUDA graph", "verdict": f"failed: {why}"}
            for members in (4,) if pretend else (4, 16):
                step = step_of(kind, shape, members, tiny=pretend)
                gains[f"{members} adapters in a pass"] = members * alone / pace(step, seconds)
            count = 2 if pretend else 4
            gains[f"{count} processes"] = alone * _beside(kind, shape, count, pretend=pretend)
            yield from _as_rows(name, gains)


def compiled(*, pretend: bool) -> dict[str, Any]:
    """The gain of `torch.compile` on one width, and what it takes to compile."""
    shape = (4, 16) if pretend else (16, 128)
    row = {"what": f"bert {shape[0]} x {shape[1]}: torch.compile", "verdict": "measured"}
    if not torch.cuda.is_available():
        return {**row, "verdict": "not run: for a card"}

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError

    alone = pace(step_of("bert", shape, 1, tiny=pretend), 1.0)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(COMPILING)
    started = time.perf_counter()
    try:
        step = step_of("bert", shape, 1, tiny=pretend, compiled=True)
        step()
    except TimeoutError:
        return {**row, "verdict": f"not run: one width takes more than {COMPILING} s to compile"}
    finally:
        signal.alarm(0)
    took = time.perf_counter() - started
    gain = alone / pace(step, 1.0)
    return {**row, "value": f"{gain:.2f} times after {took:.0f} s of compiling"}


def _as_rows(name: str, gains: dict[str, float]) -> Iterator[dict[str, Any]]:
    others = max(gain for what, gain in gains.items() if "adapters" not in what)
    for what, gain in gains.items():
        row = {"what": f"{name}: {what}", "value": f"{gain:.2f} times", "verdict": "measured"}
        if "adapters" in what:
            row["bar"] = f"worth building from {WORTH_IT * others:.2f} times on"
        yield row


def _beside(kind: str, shape: tuple[int, int], count: int, *, pretend: bool) -> float:
    """Steps per second of so many processes together."""
    command = [sys.executable, "-m", "benchmarks.gpu.adapters_at_once", kind, *map(str, shape)]
    processes = [
        subprocess.Popen([*command, *(["--pretend"] if pretend else [])],
                         stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]  # fmt: skip
    return sum(1 / float(each.communicate()[0].strip().splitlines()[-1]) for each in processes)


def main() -> None:
    """One of the processes side by side: prints the seconds of a step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("shape", type=int, nargs=2)
    parser.add_argument("--pretend", action="store_true")
    given = parser.parse_args()
    batch, width = given.shape
    step = step_of(given.kind, (batch, width), 1, tiny=given.pretend)
    print(pace(step, 0.5 if given.pretend else 4.0))


if __name__ == "__main__":
    main()
