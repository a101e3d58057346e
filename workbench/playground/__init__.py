"""Adapters that answer while somebody looks: a process of its own that keeps them in memory."""

from workbench.playground.client import Playground, PlaygroundError

__all__ = ["Playground", "PlaygroundError"]
