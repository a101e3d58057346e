"""Small files and folders: what a call has done stays done, whatever happens to the power."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash_order import Recorder
from tests.training.killing import in_child
from workbench.store import drop_folder, make_folder, publish, write_text

Act = Callable[[Path], object]


def replace_text(root: Path) -> None:
    write_text(root / "old" / "file", "new")


@pytest.mark.parametrize(
    ("act", "there", "gone"),
    [
        (lambda root: make_folder(root / "a" / "b"), {"a/", "a/b/"}, set()),
        (lambda root: publish(root / "old", root / "new"), {"new/", "new/file"}, {"old/"}),
        (lambda root: publish(root / "old" / "file", root / "file"), {"file"}, {"old/file"}),
        (lambda root: drop_folder(root / "old"), set(), {"old/"}),
        (replace_text, {"old/file"}, set()),
    ],
)
def test_what_a_call_has_done_stays_done(
    act: Act, there: set[str], gone: set[str], tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("old")

    def work() -> None:
        recorder = Recorder(tmp_path)
        recorder.start()
        act(tmp_path)
        for tree in recorder.possible():
            names = {name for name, _ in tree}
            assert there <= names and not gone & names, names
            text = {recorder.blobs[digest] for _, digest in tree if digest}
            assert text <= ({b"new"} if act is replace_text else {b"old"}), text

    assert in_child(work) is None
