"""The trials of one recipe as optuna keeps them: a journal beside the trials' run folders."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.recipe.renamed import flat_as_first_written, flat_as_today
from workbench.tuning.space import Choices, Space, Values, combinations, rounded

try:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState, create_trial
except ImportError as error:
    raise UsageError(
        "tuning needs optuna, which is not installed",
        why=str(error),
        fix="pip install --constraint constraints.txt 'peft-workbench[tune]'",
    ) from None

RANDOM_TRIALS = 4
"""Trials before the sampler (TPE: Bergstra et al. 2011) goes by what it has seen. With ten, its
default, a search of eight would never look: on a curve with one peak the best of eight trials was
off by a factor of 1.35 with four and of 1.55 with ten (mean of ten seeds)."""
DRAWS = 50
"""Draws before a search over a few values is taken through in order."""
OUTCOME = "outcome"


class _Held(JournalFileOpenLock):
    """No lock of optuna's: whoever reads or writes the journal holds the folder's own."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return


class Journal:
    """One recipe's trials, numbered from 0; what is written is on the disk, a JSON document a line.

    Trial n is drawn from the seed, n and the trials before it, so that a search that was
    interrupted tries what an uninterrupted one would.
    """

    def __init__(self, path: Path, space: Space, *, higher: bool, seed: int) -> None:
        self._space, self._higher, self._seed = space, higher, seed
        self._distributions = flat_as_first_written(
            {key: _distribution(key, space) for key in space}
        )
        if path.exists():  # without what a killed process had begun to write
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Held(str(path))))
        self._study = optuna.create_study(
            study_name="tuning",
            storage=self._storage,
            direction=_direction(higher),
            load_if_exists=True,
        )

    def __len__(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    def outcome(self, number: int) -> dict[str, Any] | None:
        trial = self._study.get_trials(deepcopy=False)[number]
        return trial.user_attrs.get(OUTCOME) if trial.state.is_finished() else None

    def values(self, number: int) -> Values:
        return flat_as_today(self._study.get_trials(deepcopy=False)[number].params)

    def begin(self, own: Values | None) -> Values:
        """Records the next trial and returns what it tries; the first one is ``own``."""
        trials = self._study.get_trials(deepcopy=False)
        values = own if own is not None and not trials else self._draw(trials)
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=flat_as_first_written(values),
                distributions=self._distributions,
            )
        )
        return values

    def end(self, number: int, score: float | None, outcome: dict[str, Any]) -> None:
        """Records the outcome of a trial; one without a score is the worst to the sampler."""
        trial = self._study.get_trials(deepcopy=False)[number]
        self._storage.set_trial_user_attr(trial._trial_id, OUTCOME, outcome)
        # TPE passes over FAIL, and would go back to the rates that diverge; PRUNED it avoids.
        state = TrialState.PRUNED if score is None else TrialState.COMPLETE
        self._study.tell(number, score, state)

    def _draw(self, before: Sequence[FrozenTrial]) -> Values:
        """Values that no trial has tried, as far as there are any."""
        tried = [flat_as_today(trial.params) for trial in before]
        values: Values = {}
        for attempt in range(DRAWS):
            parts = repr((self._seed, len(before), attempt)).encode()
            seed = int.from_bytes(hashlib.sha256(parts).digest()[:4], "big")
            sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=seed)
            study = optuna.create_study(direction=_direction(self._higher), sampler=sampler)
            study.add_trials(before)
            values = rounded(self._space, flat_as_today(study.ask(self._distributions).params))
            if values not in tried:
                return values
        left = (each for each in combinations(self._space) or () if each not in tried)
        return next(left, values)


def _direction(higher: bool) -> StudyDirection:
    return StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE


def _distribution(key: str, space: Space) -> BaseDistribution:
    wanted = space[key]
    if isinstance(wanted, Choices):
        return CategoricalDistribution(wanted.values)
    if wanted.is_integer:
        return IntDistribution(int(wanted.low), int(wanted.high), log=True)
    return FloatDistribution(wanted.low, wanted.high, log=True)
