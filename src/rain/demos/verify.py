"""Whether a demonstration is what it says: its scene, its states, its actions, its goal."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.libero.world import IDLE, LiberoWorld

SCENE_SAMPLES = 20
"""Fresh resets that tell where the scene's objects may start, and how its fixtures may stand."""
NEAR = 0.08
"""m sideways by which an object may start outside all those samples; twice that in height."""
PROBES = 12
"""Steps of a demonstration at which one action is tried against the next recorded state."""
SETTLED = 10
"""Motionless steps between the first state and the first action of files without no-ops."""


@dataclass(frozen=True)
class Scene:
    """What fresh resets of a task's scene show.

    low, high: object -> (3,) m, where objects started; fixtures (n, m, 7): how fixtures stood.
    """

    low: dict[str, NDArray[np.float64]]
    high: dict[str, NDArray[np.float64]]
    fixtures: NDArray[np.float64]


def sample_scene(world: LiberoWorld) -> Scene:
    """Reset the scene a few times and note where things are."""
    places: dict[str, list[NDArray]] = {name: [] for name in world.objects()}
    fixtures = []
    for seed in range(SCENE_SAMPLES):
        world.reset(seed=seed, settle=False)
        fixtures.append(world.fixture_poses())
        for name, seen in places.items():
            seen.append(world.object_pose(name)[0].copy())
    low = {name: np.min(seen, axis=0) for name, seen in places.items()}
    high = {name: np.max(seen, axis=0) for name, seen in places.items()}
    return Scene(low, high, np.array(fixtures))


def check_scene(world: LiberoWorld, scene: Scene, states: NDArray) -> None:
    """RainError where the first state is not one that this task's scene can start from."""
    world.set_state(states[0])
    for name in world.objects():
        place = world.object_pose(name)[0]
        outside = np.maximum(scene.low[name] - place, place - scene.high[name])
        if (outside > [NEAR, NEAR, 2 * NEAR]).any():
            raise RainError(
                f"its states belong to another scene: {name} starts {outside.max() * 100:.0f} cm "
                f"from where {world.task.name} puts it"
            )


def fixture_poses_of(world: LiberoWorld, xml: str) -> NDArray[np.float64]:
    """The fixtures' poses (n, 7) in a demonstration's MJCF, in the order of the world's own."""
    try:
        bodies = {body.get("name"): body for body in ElementTree.fromstring(xml).iter("body")}
    except ElementTree.ParseError as error:
        raise RainError(f"its model_file is not readable as XML ({error})") from error
    poses = []
    for fixture in world.fixtures():
        name = world.model.body(world.env.obj_body_id[fixture]).name
        if name not in bodies:
            raise RainError(f"its model_file belongs to another scene: it has no body {name}")
        text = f"{bodies[name].get('pos', '0 0 0')} {bodies[name].get('quat', '1 0 0 0')}"
        pose = np.array([float(number) for number in text.split()])
        if pose.shape != (7,) or not np.isfinite(pose).all():
            raise RainError(f"its model_file gives body {name} no pose that can be read: {text}")
        poses.append(pose)
    return np.array(poses).reshape(-1, 7)


def likely_fixture_poses(world: LiberoWorld, scene: Scene, states: NDArray) -> NDArray[np.float64]:
    """Of the sampled fixture poses those that fit the states best, for files without any.

    First those with which the goal holds at the end, then those that objects sink into least.
    """
    best, least = scene.fixtures[0], (True, np.inf)
    looks = states[np.linspace(0, len(states) - 1, 10).astype(int)]
    for poses in scene.fixtures if scene.fixtures.shape[1] else scene.fixtures[:1]:
        world.set_fixture_poses(poses)
        world.set_state(states[-1])
        failed, depth = not world.success(), 0.0
        for state in looks:
            world.set_state(state)
            depth += float(np.maximum(-np.array([c.dist for c in world.data.contact]), 0).sum())
        if (failed, depth) < least:
            best, least = poses, (failed, depth)
    return best


def check_alignment(world: LiberoWorld, states: NDArray, actions: NDArray) -> None:
    """RainError unless each action leads from the state beside it to the next one.

    Tried at the steps where the action differs most from its neighbours, one control step each.
    """
    # The first transition is left out: files without no-ops have settling steps in it.
    inner = np.arange(2, len(actions) - 1)
    if len(inner) == 0:
        return
    change = np.minimum(
        np.abs(actions[inner, :6] - actions[inner - 1, :6]).sum(axis=1),
        np.abs(actions[inner, :6] - actions[inner + 1, :6]).sum(axis=1),
    )
    probes = inner[np.argsort(-change, kind="stable")[:PROBES]]
    joints = 1 + np.asarray(world.env.robots[0]._ref_joint_pos_indexes)  # time comes first
    then = states[probes + 1][:, joints]

    def error(tried: NDArray) -> float:
        """By how much, rad, the arm misses the next states after these actions."""
        pairs = zip(probes, tried, strict=True)
        after = np.array([state_after(world, states[t], action)[joints] for t, action in pairs])
        return float(np.linalg.norm(after - then, axis=1).sum())

    errors = {shift: error(actions[probes + shift]) for shift in (0, -1, 1)}
    best = min(errors, key=lambda shift: errors[shift])
    if best != 0 and errors[best] < 0.5 * errors[0]:
        raise RainError(
            f"states and actions are off by one: states[t] goes with actions[t{best:+d}], "
            "not with actions[t]; shift one of them and import again"
        )
    if errors[0] > 0.5 * error(np.tile(IDLE, (len(probes), 1))):
        raise RainError(
            "its actions do not lead from one state to the next: another robot, controller or rate"
        )


def put_into(world: LiberoWorld, state: NDArray) -> None:
    """Set a state, and let the controller forget the pose it was holding in another one."""
    world.set_state(state)
    controller = world.env.robots[0].controller
    controller.update(force=True)
    controller.reset_goal()


def state_after(world: LiberoWorld, state: NDArray, action: NDArray) -> NDArray[np.float64]:
    """The state one control step after an action."""
    put_into(world, state)
    world.step(action)
    return world.get_state()


def succeeds_by_actions(
    world: LiberoWorld, poses: NDArray, first: NDArray, actions: NDArray
) -> bool:
    """Say whether the actions, done open loop from the first state, reach the task's goal.

    At once or, as in files without no-ops, after settling.
    """
    for settling in (0, SETTLED):
        world.reset(seed=0, settle=False)
        world.set_fixture_poses(poses)
        put_into(world, first)
        for action in [IDLE] * settling + list(actions):
            world.step(action)
        if world.success():
            return True
    return False
