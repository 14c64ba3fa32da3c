"""Demonstration files in LIBERO's published layout, written from episodes of the expert."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.world import IDLE


@dataclass
class Taken:
    """An episode as a person's demonstration would be stored: nothing but states and actions."""

    states: np.ndarray
    actions: np.ndarray
    fixture_poses: np.ndarray


def model_xml(world: LiberoWorld, fixture_poses: np.ndarray) -> str:
    """The scene's MJCF with the fixtures where they stood, as LIBERO stores it."""
    world.set_fixture_poses(fixture_poses)
    return world.env.sim.model.get_xml()


def write_published(path: Path, world: LiberoWorld, taken: list[Taken], model: bool = True) -> Path:
    """LIBERO's own layout, attributes and all; its paths are those of another machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        bddl = f"chiliocosm/bddl_files/{world.task.suite}/{world.task.bddl.name}"
        data.attrs["bddl_file_name"] = bddl
        data.attrs["problem_info"] = json.dumps(
            {"problem_name": "libero", "domain_name": "robosuite",
             "language_instruction": world.script.instruction}
        )  # fmt: skip
        data.attrs["env_args"] = json.dumps({"type": 1, "env_name": "Libero", "bddl_file": bddl})
        data.attrs["env_name"] = "Libero"
        data.attrs["macros_image_convention"] = "opengl"
        data.attrs["tag"] = "libero-v1"
        data.attrs["num_demos"] = len(taken)
        data.attrs["total"] = sum(len(one.actions) for one in taken)
        for i, one in enumerate(taken):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"] = len(one.actions)
            demo.attrs["init_state"] = one.states[0]
            if model:
                demo.attrs["model_file"] = model_xml(world, one.fixture_poses)
            _write_arrays(demo, one)
    return path


def write_no_noops(path: Path, world: LiberoWorld, taken: list[Taken]) -> Path:
    """As after replaying without motionless actions: no attribute at all, gaps in the numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for i, one in enumerate(taken):
            _write_arrays(data.create_group(f"demo_{2 * i + 1}"), without_noops(world, one))
    return path


def without_noops(world: LiberoWorld, taken: Taken) -> Taken:
    """Replay without motionless actions; the first state is the original, from before settling."""
    world.reset(seed=0, settle=False)
    world.set_fixture_poses(taken.fixture_poses)
    world.set_state(taken.states[0])
    for _ in range(10):
        world.step(IDLE)
    states, actions = [], []
    for action in taken.actions:
        moves = np.linalg.norm(action[:6]) >= 1e-4
        if not moves and (not actions or action[6] == actions[-1][6]):
            continue
        states.append(world.get_state() if states else taken.states[0])
        actions.append(action)
        world.step(action)
    return Taken(np.array(states), np.array(actions), taken.fixture_poses)


def _write_arrays(demo: h5py.Group, one: Taken) -> None:
    steps = len(one.actions)
    done = np.zeros(steps, np.uint8)
    done[-1] = 1
    demo["actions"], demo["states"] = one.actions, one.states
    demo["robot_states"] = np.zeros((steps, 9))
    demo["rewards"] = demo["dones"] = done
    obs = demo.create_group("obs")
    for view in ("agentview_rgb", "eye_in_hand_rgb"):
        obs.create_dataset(view, data=np.zeros((steps, 8, 8, 3), np.uint8), compression="gzip")
    for name, width in (("ee_pos", 3), ("ee_ori", 3), ("ee_states", 6), ("gripper_states", 2),
                        ("joint_states", 7)):  # fmt: skip
        obs[name] = np.zeros((steps, width))
