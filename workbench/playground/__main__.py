"""``python -m workbench.playground SECONDS``: the worker; a `Playground` starts it."""

import os
import sys

from workbench.playground.worker import Adapters
from workbench.standby.serving import main

if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a question is one text
    main(Adapters(), float(sys.argv[1]))
