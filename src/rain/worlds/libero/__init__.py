"""LIBERO as a world: scenes, regions from the simulator, experts."""

from rain.worlds.libero.suites import SUITES, find_task, suite_tasks
from rain.worlds.libero.world import LiberoWorld

__all__ = ["SUITES", "LiberoWorld", "find_task", "suite_tasks"]
