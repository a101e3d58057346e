"""Models and data that come without a Hub connection: pinned, hash-checked, never imported."""

from workbench.assets.cache import cache_dir, keep, listing, path_of, state
from workbench.assets.catalogue import ASSETS, Asset, get
from workbench.assets.fetching import fetch
