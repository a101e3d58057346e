"""How long the runs of one command still take, by those of them that are done."""

from collections.abc import Sequence
from statistics import fmean

from workbench.executors.packing import ends_of


class TimeLeft:
    """The runs of a command, one after the other, as they begin and end.

    A run that is still to come takes what runs of its recipe took, else those of its study, else
    any. Where none has finished, the estimate of the running one stands in.
    """

    def __init__(self, plan: Sequence[str]) -> None:
        self._plan = plan
        self._index = 0
        self._seconds: dict[str, list[float]] = {}

    def begin(self, index: int) -> None:
        self._index = index

    def end(self, seconds: float) -> None:
        self.ended(self._plan[self._index], seconds)

    def ended(self, name: str, seconds: float) -> None:
        self._seconds.setdefault(name, []).append(seconds)

    def together(
        self, running: Sequence[tuple[str, float]], waiting: Sequence[str], at_once: int
    ) -> float | None:
        """The same for runs at once: those that run, with their seconds so far, and the rest."""
        taken = [(self._usual(name), elapsed) for name, elapsed in running]
        later = [self._usual(name) for name in waiting]
        if any(usual is None for usual, _ in taken) or None in later:
            return None
        left = [max(0.0, (usual or 0.0) - elapsed) for usual, elapsed in taken]
        free_at = [*left, *[0.0] * (at_once - len(left))]
        return max([*left, *ends_of([usual or 0.0 for usual in later], free_at)], default=0.0)

    def seconds_left(self, elapsed: float, left: float | None) -> float | None:
        """Until the last run is done; None as long as nothing tells.

        Args:
            elapsed: seconds since the present run began.
            left: its own estimate of the seconds left; None before it has one.
        """
        so_far = None if left is None else elapsed + left
        present = max(self._usual(self._plan[self._index]) or so_far or 0.0, so_far or elapsed)
        later = [self._usual(name) or so_far for name in self._plan[self._index + 1 :]]
        if (not self._seconds and so_far is None) or None in later:
            return None
        return present - elapsed + sum(each for each in later if each is not None)

    def _usual(self, name: str) -> float | None:
        study = name.rpartition("/")[0]
        others = [(other.rpartition("/")[0], taken) for other, taken in self._seconds.items()]
        of_study = [second for other, taken in others if other == study for second in taken]
        any_run = [second for _, taken in others for second in taken]
        known = self._seconds.get(name) or of_study or any_run
        return fmean(known) if known else None
