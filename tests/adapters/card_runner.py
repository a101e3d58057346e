"""Runs the Python of model cards, each in a fresh fork of a process that has the imports only.

A program of its own: reads the path of a script a line, and prints what it printed as JSON, or
its traceback.
"""

import contextlib
import io
import json
import os
import runpy
import sys
import traceback


def printed(script: str) -> dict[str, str]:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(script, run_name="__main__")
    except Exception:
        return {"error": traceback.format_exc()}
    assert "workbench" not in sys.modules
    return {"printed": out.getvalue().strip()}


if __name__ == "__main__":
    import peft  # noqa: F401  # imported before forking, so that each script does not pay for it
    import transformers  # noqa: F401

    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with os.fdopen(writing, "w") as answer:
                json.dump(printed(line.strip()), answer)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            print(answer.read(), flush=True)
        os.waitpid(child, 0)
