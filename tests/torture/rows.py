"""The crash matrix, row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.torture import at_once, damage, failures, kills, persistent, power, several, signals
from tests.torture.trials import Trial


@dataclass(frozen=True)
class Row:
    """An event, and what makes it happen."""

    name: str
    event: str
    torment: Callable[[Trial], None]
    share: int = 1
    """It is tried once where the others are tried so many times: each trial takes long."""

    def times(self, number: int) -> int:
        """How often it is tried when every row is to be tried so many times."""
        return max(1, number // self.share)


ROWS = [
    Row("K1", "SIGKILL at any time of a run", kills.at_any_time),
    Row("K2", "SIGKILL at each disk change of a save", kills.in_a_save),
    Row("K3", "two SIGKILLs in one epoch, mid-accumulation", kills.twice_in_an_epoch),
    Row("K4", "SIGKILL while old checkpoints go", kills.in_the_rotation),
    Row("K5", "SIGKILL in the export and the best copy", kills.in_the_export),
    Row("K6", "SIGTERM, once and twice", signals.term),
    Row("K7", "Ctrl-C, once and twice", signals.interrupt),
    Row("K8", "SIGHUP to a detached job", signals.closed_terminal, share=10),
    Row("K9", "the disk is full", failures.full_disk),
    Row("K10", "a folder that is read-only", failures.read_only_folder),
    Row("K11", "input/output error, quota", failures.failing_disk),
    Row("K12", "out of memory in a step", failures.out_of_memory),
    Row("K13", "killed by the system for memory", kills.by_the_kernel),
    Row("K14", "a loss or gradient that is not finite", failures.not_finite),
    Row("K15", "one of two processes dies, fails, sleeps", several.one_of_two, share=8),
    Row("K16", "two starts of one run", at_once.two_starts),
    Row("K17", "a hundred starts at one moment", at_once.hundred_starts, share=10),
    Row("K18", "eight logging runs, four killed", at_once.writers_at_once),
    Row("K19", "readers while a run writes and dies", at_once.reader_while_writing),
    Row("K20", "the clock is set back an hour", at_once.clock_set_back),
    Row("K21", "a bit of a checkpoint flips", damage.flipped_bit),
    Row("K22", "random state missing or garbage", damage.spoilt_random_state),
    Row("K23", "recipe, data or library has changed", damage.changed_conditions),
    Row("K24", "control: without RNG, position, optimizer", damage.negative_control),
    Row("K25", "each n-th change on the disk fails from then on", persistent.failing_calls),
    Row("K26", "the disk fills at any time and stays full", persistent.disk_that_stays_full),
    Row("K27", "the power goes at any call of a run", power.power_cut),
]
