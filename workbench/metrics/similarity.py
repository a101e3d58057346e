"""What the base model makes of two texts before it is fine-tuned: how alike it finds them.

The cosine of the two texts' mean token states (the pooling of Reimers and Gurevych 2019,
"Sentence-BERT", and what the embeddings of all-MiniLM-L6-v2 are made for).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, device
from transformers import PreTrainedTokenizerBase

from workbench.data.examples import Data, Examples
from workbench.distributed.policy import choose_policy
from workbench.models import load_base
from workbench.models.refusals import family_of
from workbench.recipe import Recipe
from workbench.recipe.catalogue import REGRESSION, SINGLE
from workbench.tasks import AnyTask

NAME = "cosine similarity of the base model (zero-shot)"
FITTED = "cosine similarity of the base model + logistic regression"
FITTED_ON = 2000
"""Training pairs at most that the logistic regression sees: it has two parameters a class."""


def applies(recipe: Recipe, data: Data) -> bool:
    """Whether there are two texts to compare, with a number or a class for how they relate."""
    return data.test.pairs is not None and recipe.task.kind in (REGRESSION, SINGLE)


def similarity_answers(
    recipe: Recipe, task: AnyTask, data: Data, where: device
) -> dict[str, list[Any]]:
    """Answers to the test split by the similarity of its pairs; nothing from a decoder.

    For regression they are the cosines themselves, which correlate with the right numbers or do
    not; for classes a logistic regression on the cosine of training pairs.
    """
    base = load_base(recipe.model, task, choose_policy(recipe.training, where))
    if family_of(base.config) != "encoder":
        return {}
    backbone = base.model.to(where).eval().base_model

    def cosines(examples: Examples) -> np.ndarray:
        assert examples.pairs is not None
        length, size = recipe.model.max_length, recipe.training.least_eval_batch
        first, second = (
            embeddings(backbone, base.tokenizer, texts, max_length=length, batch_size=size)
            for texts in (examples.texts, examples.pairs)
        )
        return F.cosine_similarity(first, second).cpu().double().numpy()

    tested = cosines(data.test)
    if recipe.task.kind == REGRESSION:
        return {NAME: tested.tolist()}
    step = -(-len(data.train) // FITTED_ON)
    train = data.train.select(range(0, len(data.train), step))
    if len(set(train.labels)) < 2:
        return {}
    return {FITTED: _by_class(cosines(train), train.labels, tested)}


@torch.inference_mode()
def embeddings(
    backbone: Any,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_length: int,
    batch_size: int,
) -> Tensor:
    """Mean of the last hidden states of each text's tokens, (texts, hidden)."""
    found: list[Tensor] = []
    for start in range(0, len(texts), batch_size):
        inputs = tokenizer(
            list(texts[start : start + batch_size]),
            padding=True,
            truncation=True,
            max_length=max_length,
            return_tensors="pt",
        ).to(backbone.device)
        states = backbone(**inputs).last_hidden_state.float()  # (batch, tokens, hidden)
        mask = inputs["attention_mask"].unsqueeze(2)
        found.append((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1))
    return torch.cat(found)


def _by_class(train: np.ndarray, labels: Sequence[int], test: np.ndarray) -> list[int]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000).fit(train[:, None], labels)
    return [int(label) for label in model.predict(test[:, None])]
