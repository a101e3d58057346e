"""A process that stays loaded between questions, and what its server knows of it."""

from workbench.services.client import WorkerClient, WorkerError
