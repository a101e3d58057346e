"""Tasks: how examples become model inputs, logits, losses and predictions. One file each."""

from collections.abc import Sequence
from typing import Any

from workbench.recipe.tasks import TaskSpec
from workbench.tasks.base import Likelihood, Predicted, Task
from workbench.tasks.causal_lm import CausalLMTask
from workbench.tasks.instruction import InstructionTask
from workbench.tasks.masked_lm import MaskedLMTask
from workbench.tasks.question_answering import QuestionAnsweringTask
from workbench.tasks.text_classification import TextClassificationTask
from workbench.tasks.token_classification import TokenClassificationTask

AnyTask = Task[Any]

TASKS: dict[str, type[AnyTask]] = {
    "text-classification": TextClassificationTask,
    "token-classification": TokenClassificationTask,
    "question-answering": QuestionAnsweringTask,
    "causal-lm": CausalLMTask,
    "instruction": InstructionTask,
    "masked-lm": MaskedLMTask,
}


def make_task(spec: TaskSpec, label_names: Sequence[str]) -> AnyTask:
    """The task that a recipe names, for the labels that its data has."""
    return TASKS[spec.name](spec, label_names)
