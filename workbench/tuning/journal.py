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
RUNG = "rung {}"


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

    def rung(self, number: int, rung: int) -> dict[str, Any] | None:
        """What a trial scored where it paused; None where it has not come so far."""
        return self._study.get_trials(deepcopy=False)[number].user_attrs.get(RUNG.format(rung))

    def pause(self, number: int, rung: int, found: dict[str, Any]) -> None:
        """Records a step and its score and loss, in optuna's own words too."""
        trial = self._study.get_trials(deepcopy=False)[number]
        if found["score"] is not None:
            self._storage.set_trial_intermediate_value(
                trial._trial_id, found["step"], found["score"]
            )
        self._storage.set_trial_user_attr(trial._trial_id, RUNG.format(rung), found)

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
            study.add_trials([_seen(trial) for trial in before])
            values = rounded(self._space, flat_as_today(study.ask(self._distributions).params))
            if values not in tried:
                return values
        left = (each for each in combinations(self._space) or () if each not in tried)
        return next(left, values)


def _seen(trial: FrozenTrial) -> FrozenTrial:
    """A trial as the sampler goes by it: of a search that prunes its score at the first rung, which
    all trials are scored at."""
    first = trial.user_attrs.get(RUNG.format(0))
    if first is None:
        return trial
    known = first["score"] is not None
    return create_trial(
        state=TrialState.COMPLETE if known else TrialState.PRUNED,
        value=first["score"],
        params=trial.params,
        distributions=trial.distributions,
    )


def _direction(higher: bool) -> StudyDirection:
    return StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE


def _distribution(key: str, space: Space) -> BaseDistribution:
    wanted = space[key]
    if isinstance(wanted, Choices):
        return CategoricalDistribution(wanted.values)
    if wanted.is_integer:
        return IntDistribution(int(wanted.low), int(wanted.high), log=True)
    return FloatDistribution(wanted.low, wanted.high, log=True)
