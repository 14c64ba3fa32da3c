"""The simulated OMY-F3M as a world: an arm on a table, moved by absolute joint targets."""

from rain.worlds.omy.tasks import SUITE, find_omy_task, omy_tasks
from rain.worlds.omy.world import OmyWorld, omy_conventions

__all__ = ["SUITE", "OmyWorld", "find_omy_task", "omy_conventions", "omy_tasks"]
