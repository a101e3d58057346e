"""From what a model makes of a split to its scores."""

from collections.abc import Callable, Sequence
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from transformers import PreTrainedTokenizerBase

from workbench.data.encode import Encoded
from workbench.distributed.accelerator import place
from workbench.inference.batch_size import EvaluationBatch
from workbench.inference.generate import generate
from workbench.metrics.scores import score
from workbench.recipe.catalogue import needs_generation
from workbench.tasks import AnyTask, Predicted
from workbench.tasks.base import WritingTask


def score_split(
    task: AnyTask, encoded: Encoded, predicted: Predicted, generated: Sequence[str] | None = None
) -> dict[str, float | None]:
    """The task's metrics on a split.

    Args:
        generated: the texts that the model has written, for a task that generates. Without them
            (validation during training) only likelihood is scored.
    """
    names = task.spec.score_names
    answers: Sequence[Any] = ()
    references: Sequence[Any] = ()
    if isinstance(task, WritingTask) and generated is None:
        names = tuple(n for n in names if not needs_generation(n)) or ("perplexity",)
    else:
        answers = task.answers(encoded, predicted) if generated is None else generated
        references = task.references(encoded)
    likelihood = task.likelihood(encoded, predicted)
    return score(names, task.spec.kind, answers, references, likelihood)


def write_texts(
    model: nn.Module,
    task: AnyTask,
    encoded: Encoded,
    tokenizer: PreTrainedTokenizerBase,
    accelerator: Accelerator | None,
    *,
    batch_size: int | EvaluationBatch,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str] | None:
    """What the model writes for each example, on every process; None if the task is no writing.

    Args:
        accelerator: None to work alone; otherwise each process takes its share.
    """
    if not isinstance(task, WritingTask):
        return None
    prompts = task.prompts(encoded)
    process, processes = place(accelerator)
    mine = range(process, len(prompts), processes)
    ids = generate(
        model,
        [prompts[i] for i in mine],
        task.spec.decoding,
        eos_token_ids=task.stop_ids(tokenizer),
        batch_size=batch_size,
        on_progress=on_progress,
    )
    found = list(zip(mine, (task.decode(tokenizer, new) for new in ids), strict=True))
    if processes > 1:
        found = gather_object(found)
    return [text for _, text in sorted(found)]
