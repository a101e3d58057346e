"""``python -m workbench.playground SECONDS``: the worker; a `Playground` starts it."""

import sys

from workbench.playground.worker import main

if __name__ == "__main__":
    main(float(sys.argv[1]))
