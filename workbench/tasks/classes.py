"""Classes: what a config says of their names, and what errors on each count in training."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.data.examples import Data
from workbench.errors import DataError, nearest
from workbench.tasks.base import Task


def label_config(names: Sequence[str]) -> dict[str, Any]:
    """What a model's config has to say about labels of these names."""
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }


def set_class_weights(
    task: Task[Any], wanted: str | Mapping[str, float] | None, data: Data
) -> None:
    """Lets a task weight its training loss, as ``training.class_weights`` says.

    ``balanced`` gives each class examples / (classes * examples of the class), so that all count
    the same together (King and Zeng 2001, as scikit-learn computes it); of tags the words are
    counted. A class that train does not show counts 1.

    Raises:
        DataError: when a label is named that the data does not have.
    """
    counts = task.label_counts(data.train.labels)
    if wanted is None or counts is None:
        return
    names = task.label_names
    if isinstance(wanted, str):
        shown = {index: count for index, count in counts.items() if count}
        total = sum(shown.values())
        each = {index: total / (len(shown) * count) for index, count in shown.items()}
        task.class_weights = tuple(each.get(index, 1.0) for index in range(len(names)))
        return
    if unknown := [name for name in wanted if name not in names]:
        near = nearest(unknown[0], names)
        raise DataError(
            f"no label called {', '.join(map(repr, unknown[:5]))}",
            where="training.class_weights",
            why=f"the data has {', '.join(names[:20])}",
            fix=f"did you mean {near!r}?" if near else "name labels of the data",
        )
    task.class_weights = tuple(float(wanted.get(name, 1.0)) for name in names)
