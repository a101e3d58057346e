"""A process that stays loaded between questions, and what its server knows of it."""

from workbench.standby.client import StandBy, StandByError

__all__ = ["StandBy", "StandByError"]
