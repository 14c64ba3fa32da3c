"""The words check themselves, and their errors name the field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain.types import (
    ACTION_DIM,
    ACTION_TYPES,
    HORIZON,
    PLAN_POINTS,
    ActionChunk,
    ConventionError,
    Conventions,
    Observation,
    Plan,
    Policy,
    Prediction,
    Progress,
    RainError,
    Subtask,
    SubtaskSpan,
    TaskScript,
    World,
)

SIZE = 4


def observation(**changes) -> Observation:
    fields = {
        "images": {"agentview": np.zeros((SIZE, SIZE, 3), np.uint8)},
        "regions": {"agentview": np.zeros((SIZE, SIZE), bool)},
        "state": np.zeros(7),
        "action_type": "grasp",
    }
    return Observation(**{**fields, **changes})


def conventions(**changes) -> Conventions:
    fields = {
        "views": ("agentview", "wrist"),
        "image_size": 128,
        "state": "libero_ee_axis_angle_gripper",
        "action": "libero_osc_pose_delta",
        "rate_hz": 20.0,
    }
    return Conventions(**{**fields, **changes})


def span(**changes) -> SubtaskSpan:
    fields = {
        "subtask": Subtask("grasp", "milk_1"),
        "start": 0,
        "interaction": 3,
        "end": 5,
        "position": np.zeros(3),
        "rotation": np.eye(3),
    }
    return SubtaskSpan(**{**fields, **changes})


def test_arrays_become_read_only_float32_copies():
    source = np.arange(HORIZON * ACTION_DIM, dtype=np.float64).reshape(HORIZON, ACTION_DIM)
    chunk = ActionChunk(source)
    source[0, 0] = 99.0
    assert chunk.actions.dtype == np.float32
    assert chunk.actions[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        chunk.actions[0, 0] = 1.0


def test_words_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Subtask("grasp", "milk_1").target = "basket_1"


def test_the_last_waypoint_is_the_interaction_point():
    plan = Plan(np.arange(PLAN_POINTS * 3).reshape(PLAN_POINTS, 3))
    np.testing.assert_array_equal(plan.interaction_point, [21, 22, 23])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("ActionChunk.actions", lambda v: ActionChunk(np.full((HORIZON, ACTION_DIM), v))),
        ("Plan.waypoints", lambda v: Plan(np.full((PLAN_POINTS, 3), v))),
        ("Observation.state", lambda v: observation(state=np.full(7, v))),
        ("SubtaskSpan.position", lambda v: span(position=np.full(3, v))),
        ("SubtaskSpan.rotation", lambda v: span(rotation=np.full((3, 3), v))),
    ],
)
def test_what_is_not_finite_is_refused(field: str, build: Callable, value: float):
    with pytest.raises(RainError, match=field):
        build(value)


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("ActionChunk.actions", lambda: ActionChunk(np.zeros((HORIZON - 1, ACTION_DIM)))),
        ("ActionChunk.actions", lambda: ActionChunk([[0.0], [0.0, 1.0]])),
        ("ActionChunk.actions", lambda: ActionChunk("forward")),
        ("Plan.waypoints", lambda: Plan(np.zeros((3, PLAN_POINTS)))),
        ("Observation.state", lambda: observation(state=np.zeros((1, 7)))),
        ("Observation.images", lambda: observation(images={}, regions={})),
        (
            r"Observation.images\[agentview\]",
            lambda: observation(images={"agentview": np.zeros((SIZE, SIZE, 3))}),
        ),
        (
            r"Observation.images\[agentview\]",
            lambda: observation(images={"agentview": np.zeros((3, SIZE, SIZE), np.uint8)}),
        ),
        (
            r"Observation.regions\[agentview\]",
            lambda: observation(regions={"agentview": np.zeros((SIZE, SIZE + 1), bool)}),
        ),
        (
            r"Observation.regions\[agentview\]",
            lambda: observation(regions={"agentview": np.zeros((SIZE, SIZE), np.uint8)}),
        ),
        (
            r"Observation.regions\[agentview\]",
            lambda: observation(regions={"agentview": np.full((SIZE, SIZE), 1.5)}),
        ),
        (
            r"Observation.regions\[agentview\]",
            lambda: observation(regions={"agentview": np.full((SIZE, SIZE), np.nan)}),
        ),
        (
            r"Observation.regions\[wrist\]",
            lambda: observation(regions={"wrist": np.zeros((SIZE, SIZE), bool)}),
        ),
        ("Observation.action_type", lambda: observation(action_type="fly")),
        ("Subtask.action_type", lambda: Subtask("fly", "milk_1")),
        ("Subtask.target", lambda: Subtask("grasp", "")),
        ("TaskScript.subtasks", lambda: TaskScript("do nothing", ())),
        (r"TaskScript.subtasks\[1\]", lambda: TaskScript("x", (Subtask("grasp", "a"), "b"))),
        ("SubtaskSpan", lambda: span(start=4)),
        ("SubtaskSpan", lambda: span(interaction=6)),
        ("SubtaskSpan", lambda: span(start=-1)),
        ("SubtaskSpan", lambda: span(start=3, end=3)),
    ],
)
def test_the_error_names_the_field_on_one_line(field: str, build: Callable):
    with pytest.raises(RainError, match=field) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_unknown_action_type_lists_the_known_ones():
    with pytest.raises(RainError) as caught:
        Subtask("fly", "milk_1")
    assert all(name in str(caught.value) for name in ("fly", *ACTION_TYPES))


def test_regions_may_be_empty_absent_or_soft():
    assert observation(regions={}).regions == {}
    soft = np.linspace(0, 1, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    assert observation(regions={"agentview": soft}).regions["agentview"] is soft


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_progress_accepts_the_unit_interval(completion, distance, alignment):
    progress = Progress(completion, distance, alignment)
    assert dataclasses.astuple(progress) == (completion, distance, alignment)


@given(st.floats().filter(lambda value: not 0 <= value <= 1))
@pytest.mark.parametrize("name", ["completion", "distance", "alignment"])
def test_progress_refuses_the_rest(name: str, value: float):
    scores = {"completion": 0.5, "distance": 0.5, "alignment": 0.5, name: value}
    with pytest.raises(RainError, match=f"Progress.{name}"):
        Progress(**scores)


def test_script_takes_any_sequence_of_subtasks():
    script = TaskScript("put the milk in the basket", [Subtask("grasp", "milk_1")])
    assert script.subtasks == (Subtask("grasp", "milk_1"),)
    assert str(script.subtasks[0]) == "grasp milk_1"


def test_an_observation_is_checked_against_conventions():
    def seen(views, size):
        images = {view: np.zeros((size, size, 3), np.uint8) for view in views}
        return Observation(images, {}, np.zeros(7), "grasp")

    wanted = conventions()
    wanted.check_observation(seen(reversed(wanted.views), wanted.image_size))
    with pytest.raises(ConventionError, match=r"needs the views .* the observation has .'top'"):
        wanted.check_observation(seen(["top"], wanted.image_size))
    with pytest.raises(ConventionError, match=r"the observation's \w+ is 31 × 31"):
        wanted.check_observation(seen(wanted.views, 31))


def test_matching_conventions_pass():
    conventions().check(conventions(views=["agentview", "wrist"]), "checkpoint", "world")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("views", ("wrist", "agentview")),
        ("image_size", 224),
        ("state", "joints"),
        ("action", "joints"),
        ("rate_hz", 30.0),
    ],
)
def test_a_mismatch_names_both_sides(name, value):
    with pytest.raises(ConventionError) as caught:
        conventions().check(conventions(**{name: value}), "checkpoint", "world")
    message = str(caught.value)
    mine = getattr(conventions(), name)
    assert f"{name}: checkpoint has {mine!r}, world has {value!r}" in message
    assert message.count("checkpoint has") == 1


def test_every_mismatch_is_named_at_once():
    other = conventions(image_size=224, rate_hz=30.0)
    with pytest.raises(ConventionError, match=r"image_size: .*; rate_hz: "):
        conventions().check(other, "checkpoint", "world")


class Still:
    """The smallest world and policy: nothing moves."""

    conventions = conventions()

    def observe(self, subtask):
        return observation(action_type=subtask.action_type)

    def step(self, action):
        pass

    def success(self):
        return False

    def predict(self, observation):
        chunk = ActionChunk(np.zeros((HORIZON, ACTION_DIM)))
        return Prediction(chunk, Plan(np.zeros((PLAN_POINTS, 3))), Progress(0, 1, 1))


def test_protocols_are_met_by_shape():
    assert isinstance(Still(), World)
    assert isinstance(Still(), Policy)
    assert not isinstance(object(), World)
