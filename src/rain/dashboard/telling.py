"""Instructions that an operator types: read by the world's own reasoner, or known in its scene."""

from __future__ import annotations

from typing import Any

from rain.perception.reasoner.protocols import PhrasedScript, phrase_from_name
from rain.perception.reasoner.registry import TaskRegistry
from rain.perception.world import PerceivedWorld
from rain.types import TaskScript

TURNS = 4
"""Scripts tried for each target."""


def told_in(world: Any, instruction: str) -> TaskScript:
    """The script of an instruction; RainError where it is not understood."""
    if isinstance(world, PerceivedWorld) and world.reasons:
        return world.told(TaskScript(instruction, world.script.subtasks))
    scripts = scripts_in(world)
    registry = TaskRegistry(
        [([script.instruction], _phrased(script)) for script in scripts], "this scene"
    )
    return registry.decompose(instruction, {}).script


def instructions_in(world: Any) -> list[str]:
    """Instructions that are known in the scene as it is; none where a reasoner reads any."""
    if isinstance(world, PerceivedWorld) and world.reasons:
        return []
    return [script.instruction for script in scripts_in(world)]


def scripts_in(world: Any) -> list[TaskScript]:
    """What can be asked for in the scene as it is, each instruction once."""
    found = {world.script.instruction: world.script}
    for target in world.pointed_at():
        for turn in range(TURNS):
            script = world.script_to(target, turn)
            if script is not None:
                found.setdefault(script.instruction, script)
    return list(found.values())


def _phrased(script: TaskScript) -> PhrasedScript:
    return PhrasedScript(script, tuple(phrase_from_name(s.target) for s in script.subtasks))
