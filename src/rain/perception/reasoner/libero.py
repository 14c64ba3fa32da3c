"""What LIBERO itself knows: the scripts of its annotated tasks, and where targets are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rain.perception.prompts import Box, Mask, Points, Prompt
from rain.perception.reasoner.protocols import PhrasedScript, phrase_from_name
from rain.perception.reasoner.registry import TaskRegistry
from rain.perception.segmenter import Frame
from rain.perception.truth import RegionWorld, point_on
from rain.types import TaskScript

KINDS = ("box", "mask", "point")
"""How a TruthGrounder points."""

LEAST = 4
"""Pixels of a region below which a target is not to be seen."""


def phrased(script: TaskScript) -> PhrasedScript:
    """A script with its targets' names as phrases."""
    return PhrasedScript(script, tuple(phrase_from_name(s.target) for s in script.subtasks))


@cache
def libero_registry() -> TaskRegistry:
    """The 40 training tasks by instruction.

    Tasks of one wording and other subtasks (libero_90 has such) are not among them.
    """
    from rain.worlds.libero.suites import find_task, suite_tasks

    suites = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
    scripts = [find_task(suite, task).script for suite in suites for task in suite_tasks(suite)]
    return TaskRegistry([((s.instruction,), phrased(s)) for s in scripts], "LIBERO")


class TruthGrounder:
    """Points at a target as a simulator knows it: by a box, its mask, or a click on it."""

    def __init__(self, world: RegionWorld, kind: str = "box") -> None:
        """Ask ``world``; kind: one of ``KINDS``."""
        self._world, self._kind = world, kind

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Prompt]:
        """Where the target is in every view that shows it."""
        found: dict[str, Prompt] = {}
        for view, image in frame.images.items():
            region = self._world.regions([target], view, len(image))[0]
            if region.sum() < LEAST:
                continue
            box = Box.around(region)
            assert box is not None
            pointed: dict[str, Prompt] = {
                "box": box, "mask": Mask(region), "point": Points((point_on(region),))
            }  # fmt: skip
            found[view] = pointed[self._kind]
        return found
