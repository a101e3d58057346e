"""Labelled texts: where they come from, how they are checked and split."""

from workbench.data.examples import Data, Examples
from workbench.data.load import load_data
