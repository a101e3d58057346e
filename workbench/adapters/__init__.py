"""Trained adapters as folders: written, checked by a plain load, loaded, exported, imported."""
