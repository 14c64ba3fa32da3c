"""Run one episode in LIBERO: first the task's own object, then another one by its region.

    python examples/02_rollout.py

Needs the simulator: pip install "rain-robotics[sim]"
"""

from __future__ import annotations

import sys

from rain.bench.rollouts import rollout
from rain.model import RainPolicy
from rain.worlds.libero import LiberoWorld

policy = RainPolicy.load(sys.argv[1] if len(sys.argv) > 1 else "rain-nano")
world = LiberoWorld("libero_object", 0, image_size=policy.conventions.image_size)

own = world.script.subtasks[0].target
another = next(name for name in world.graspable() if name != own)

for target in (own, another):
    script = world.script_for(target)
    world.reset(init_state=0)
    policy.reset(seed=0)
    # The goal is that of the script: the object that the region marks, in the basket.
    result = rollout(world, policy, script, goal=lambda s=script: world.script_success(s))
    print(f"{script.instruction}: {result.outcome} after {result.steps} steps")
    for transition in result.transitions:
        left = script.subtasks[transition.subtask]
        print(f"  step {transition.step}: {left} done, holding {transition.held}")

world.close()
