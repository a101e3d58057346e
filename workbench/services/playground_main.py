"""``python -m workbench.services.playground_main``: the worker; a `Playground` starts it."""

import os
import sys

from workbench.services.playground_worker import Adapters
from workbench.services.server import main

if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a question is one text
    main(Adapters(), float(sys.argv[1]))
