from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero import LiberoWorld, find_task, suite_tasks
from rain.worlds.libero.regions import parse_target

SOUP = Subtask("grasp", "alphabet_soup_1")


def test_forty_tasks_have_scripts() -> None:
    tasks = [(suite, i) for suite in ("libero_spatial", "libero_object", "libero_goal", "libero_10")
             for i in range(len(suite_tasks(suite)))]  # fmt: skip
    assert len(tasks) == 40
    pytest.importorskip("libero")
    for suite, index in tasks:
        task = find_task(suite, index)
        assert task.bddl.is_file()
        assert task.init_states.is_file()
        for subtask in task.script.subtasks:
            parse_target(subtask.target)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: suite_tasks("libero_objekt"), "libero_object"),
        (lambda: find_task("libero_object", 10), "0 to 9"),
        (lambda: find_task("libero_object", -1), "0 to 9"),
        (lambda: parse_target("basket_1:attic"), "attic"),
    ],
)
def test_unknown_names_are_one_line_errors(call, words: str) -> None:
    with pytest.raises(RainError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_official_state_resets_to_the_same_bits(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=3)
    first, image = libero_world.get_state(), libero_world.render("agentview", 64)
    for _ in range(5):
        libero_world.step(np.full(7, 0.3))
    libero_world.reset(init_state=3)
    np.testing.assert_array_equal(libero_world.get_state(), first)
    np.testing.assert_array_equal(libero_world.render("agentview", 64), image)
    libero_world.reset(init_state=4)
    assert not np.array_equal(libero_world.get_state(), first)


def test_fresh_samples_follow_the_seed_and_leave_numpys_generator_alone(
    libero_world: LiberoWorld,
) -> None:
    libero_world.reset(seed=5)
    first = libero_world.get_state()
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    libero_world.reset(seed=6)
    assert np.random.random() == expected  # noqa: NPY002
    assert not np.allclose(libero_world.get_state(), first)
    libero_world.reset(seed=5)
    np.testing.assert_array_equal(libero_world.get_state(), first)


def test_regions_lie_where_the_objects_are_projected(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=0)
    for name in libero_world.graspable():
        region = libero_world.regions([name], "agentview")[0]
        v, u = np.argwhere(region).mean(axis=0)
        centre, _ = libero_world.object_pose(name)
        expected = libero_world.project(centre[None], "agentview")[0]
        assert np.abs(expected - (u, v)).max() < 4, name


def test_region_follows_a_moved_object_and_images_are_upright(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=0)
    before = np.argwhere(libero_world.regions(["butter_1"], "agentview")[0]).mean(axis=0)
    position, _ = libero_world.object_pose("butter_1")
    # Toward the camera (+x) is down in an upright agentview, +y is right.
    libero_world.place_object("butter_1", position[:2] + [0.10, 0.0])
    nearer = np.argwhere(libero_world.regions(["butter_1"], "agentview")[0]).mean(axis=0)
    assert nearer[0] > before[0] + 4
    libero_world.place_object("butter_1", position[:2] + [0.0, 0.10])
    right = np.argwhere(libero_world.regions(["butter_1"], "agentview")[0]).mean(axis=0)
    assert right[1] > before[1] + 4


def test_observation_has_both_views_and_only_renders_what_is_asked(
    libero_world: LiberoWorld,
) -> None:
    libero_world.reset(init_state=0)
    observation = libero_world.observe(SOUP)
    assert set(observation.images) == {"agentview", "wrist"}
    assert observation.images["wrist"].shape == (128, 128, 3)
    assert observation.regions["agentview"].any()
    assert observation.state.shape == (7,)
    assert 0.05 < observation.state[6] < 0.09
    # robosuite itself must not render: it has no off-screen context at all.
    assert libero_world.env.sim._render_context_offscreen is None


def test_missing_target_and_foreign_state_name_what_is_wrong(libero_world: LiberoWorld) -> None:
    with pytest.raises(RainError, match="wine_bottle_1"):
        libero_world.observe(Subtask("grasp", "wine_bottle_1"))
    with pytest.raises(RainError, match="another scene"):
        libero_world.set_state(np.zeros(10))
    with pytest.raises(RainError, match="init states 0 to"):
        libero_world.reset(init_state=10_000)
    with pytest.raises(RainError, match="either"):
        libero_world.reset()


def test_script_success_is_about_the_script_not_the_task(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=0)
    basket, _ = libero_world.object_pose("basket_1")
    own, other = libero_world.script, libero_world.script_for("butter_1")
    assert "butter" in other.instruction
    libero_world.place_object("butter_1", basket[:2])
    for _ in range(30):
        libero_world.step([0, 0, 0, 0, 0, 0, -1])
    assert libero_world.script_success(other)
    assert not libero_world.script_success(own)
    assert not libero_world.success()
    with pytest.raises(RainError, match="never grasped"):
        libero_world.script_success(TaskScript("x", own.subtasks[1:]))


def test_fast_and_official_rendering_differ_only_in_detail(libero_world: LiberoWorld) -> None:
    """Close to the same picture: no shift, no flip, no other light."""
    from rain.worlds.rendering import Renderer

    libero_world.reset(init_state=0)
    fast = libero_world.render("agentview", 128).astype(int)
    official = Renderer(libero_world.model, "official")
    try:
        camera = libero_world.model.camera("agentview").id
        other = official.rgb(libero_world.data, camera, 128).astype(int)
    finally:
        official.close()
    assert np.abs(fast - other).mean() < 6
    assert np.abs(fast[::-1] - other).mean() > 12


PARTS_SCRIPT = """
from rain.worlds.libero import LiberoWorld
world = LiberoWorld("libero_goal", 3)
world.reset(init_state=0)
names = ["wooden_cabinet_1:top_drawer", "wooden_cabinet_1:middle_drawer", "flat_stove_1:burner",
         "flat_stove_1:knob", "wooden_cabinet_1:top_side", "wine_rack_1:top_region",
         "main_table:stove_front_region", "plate_1"]
regions = dict(zip(names, world.regions(names, "agentview", 224)))
for name, region in regions.items():
    assert region.any(), name
    assert region.mean() < 0.2, name
assert not (regions[names[0]] & regions[names[1]]).any()
assert not (regions[names[2]] & regions[names[3]]).any()
poses = world.fixture_poses()
assert poses.shape == (3, 7)
world.reset(seed=9)
assert abs(world.fixture_poses() - poses).max() > 1e-4
world.set_fixture_poses(poses)
assert abs(world.fixture_poses() - poses).max() == 0
assert not world.script_success(world.script)
print("fine")
"""


def test_fixture_parts_and_places_have_regions() -> None:
    pytest.importorskip("libero")
    result = subprocess.run(
        [sys.executable, "-c", PARTS_SCRIPT], capture_output=True, text=True, timeout=120
    )
    assert "fine" in result.stdout, result.stderr[-2000:]


def test_proprioception_is_what_liberos_own_observations_say(libero_world: LiberoWorld) -> None:
    from robosuite.utils.transform_utils import quat2axisangle

    libero_world.reset(init_state=0)
    for _ in range(3):
        libero_world.step(np.array([0.3, -0.2, -0.4, 0.1, 0.0, 0.2, 1.0]))
    said = libero_world.env._get_observations(force_update=True)
    angle = quat2axisangle(said["robot0_eef_quat"])
    expected = np.r_[said["robot0_eef_pos"], angle, said["robot0_gripper_qpos"]]
    np.testing.assert_allclose(libero_world.proprioception(), expected, atol=1e-6)


def test_margin_of_the_joint_that_is_nearest_to_a_limit(scene) -> None:
    world = scene("libero_object", 0)
    world.reset(init_state=0)
    for name in [f"robot0_joint{i}" for i in range(1, 8)]:
        joint = world.model.joint(name)
        low, high = joint.range
        start = world.joint_value(name)
        assert world.joint_margin() <= min(start - low, high - start)
        world.set_joint(name, high - 0.001)
        assert world.joint_margin() == pytest.approx(0.001)
        world.set_joint(name, low - 0.001)
        assert world.joint_margin() == pytest.approx(-0.001)
        world.set_joint(name, start)


def test_what_is_out_of_view_is_not_drawn_and_not_missed(
    libero_world: LiberoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rain.worlds import rendering

    views = ("agentview", "wrist")
    hidden = {view: [] for view in views}
    libero_world.reset(init_state=0)
    for action in np.random.default_rng(0).uniform(-1, 1, (4, 7)):
        for _ in range(8):
            libero_world.step(action)
        for view in views:
            seen = libero_world.render(view, 96), libero_world.regions([SOUP.target], view)
            with monkeypatch.context() as patch:
                patch.setattr(
                    rendering,
                    "out_of_view",
                    lambda model, data, camera: np.zeros(model.ngeom, bool),
                )
                everything = (
                    libero_world.render(view, 96),
                    libero_world.regions([SOUP.target], view),
                )
            for one, other in zip(seen, everything, strict=True):
                np.testing.assert_array_equal(one, other)
            camera = libero_world.model.camera({"wrist": "robot0_eye_in_hand"}.get(view, view)).id
            out = rendering.out_of_view(libero_world.model, libero_world.data, camera)
            hidden[view].append(out.mean())
    assert max(hidden["wrist"]) > 0.3
    assert max(hidden["agentview"]) < min(hidden["wrist"])
