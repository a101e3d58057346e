"""``python -m workbench.playground SECONDS``: the worker; a `Playground` starts it."""

import sys

from workbench.playground.worker import Adapters
from workbench.standby.serving import main

if __name__ == "__main__":
    main(Adapters(), float(sys.argv[1]))
