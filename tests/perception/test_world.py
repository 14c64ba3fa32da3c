"""A world with perceived regions, and rollouts in it: pauses, boundaries, words."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_fakes import FakePolicy, FakeWorld, FakeWorlds
from perception_server import StubServer, completion

from rain.bench.campaign import Campaign
from rain.bench.episode import RolloutConfig
from rain.bench.records import EpisodeRecord, Trial
from rain.bench.rollouts import rollout
from rain.cli.episode_options import EpisodeOptions
from rain.perception.loop import LoopOptions, RegionLoop
from rain.perception.options import PerceptionOptions
from rain.perception.parts import make_loop, make_reasoner, make_segmenter
from rain.perception.prompts import Mask, Prompt
from rain.perception.reasoner.libero import TruthGrounder
from rain.perception.reasoner.protocols import PhrasedScript, ReasonError
from rain.perception.segmenter import Frame
from rain.perception.truth import TruthSegmenter
from rain.perception.world import PerceivedWorld, PerceivedWorlds
from rain.types import RainError, Subtask, TaskScript

GRASP, RELEASE = Subtask("grasp", "milk_1"), Subtask("release", "basket_1")


class Scene(FakeWorld):
    """A FakeWorld whose images change with every step and whose targets move with them."""

    hidden = False

    def render(self, view: str, size: int) -> np.ndarray:
        return np.full((size, size, 3), len(self.actions), np.uint8)

    def regions(self, targets: list[str], view: str, size: int) -> np.ndarray:
        found = np.zeros((len(targets), size, size), bool)
        if "milk_1" in targets:  # as FakeWorld.observe does, which is not asked for regions here
            self.marked = "milk_1"
        if not self.hidden:
            found[:, 4:8, len(self.actions) : len(self.actions) + 4] = True
        return found

    def state(self) -> np.ndarray:
        return np.zeros(7, np.float32)


class Pointer(TruthGrounder):
    """Counts, and fails on demand."""

    def __init__(self, world: Any) -> None:
        super().__init__(world, "mask")
        self.asked: list[tuple[str, str, float]] = []
        self.error: Exception | None = None

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Prompt]:
        self.asked.append((target, phrase, frame.stamp))
        if self.error is not None:
            raise self.error
        return super().ground(target, phrase, frame)


def perceived(every: int = 1, reasoner: Any = None, **options: Any):
    scene = Scene(success_after=20)
    pointer = Pointer(scene)
    settings = LoopOptions(frozen_after_s=None, **options)
    loop = RegionLoop(TruthSegmenter(scene), pointer, settings)
    return PerceivedWorld(scene, loop, every=every, reasoner=reasoner), scene, pointer


def test_regions_are_followed_between_looks_and_grounded_once_a_subtask():
    world, scene, pointer = perceived()
    world.reset(seed=0)
    seen = world.observe(GRASP)
    assert np.array_equal(seen.regions["wrist"], scene.regions(["milk_1"], "wrist", 32)[0])
    for _ in range(5):
        world.step(np.zeros(7))
        world.follow()
    assert world.latest.stamp == 5 / 20
    seen = world.observe(GRASP)
    assert np.flatnonzero(seen.regions["wrist"].any(axis=0))[0] == 5
    assert seen.images["wrist"][0, 0, 0] == 5
    # The next subtask begins in a frame that was looked at already.
    world.observe(RELEASE)
    assert world.pause is None
    assert pointer.asked == [("milk_1", "the milk", 0.0), ("basket_1", "the basket", 0.25)]


def test_only_every_so_many_frames_are_followed():
    world, _, _ = perceived(every=3)
    world.reset(seed=0)
    world.observe(GRASP)
    stamps = []
    for _ in range(6):
        world.step(np.zeros(7))
        world.follow()
        stamps.append(world.latest.stamp)
    assert stamps == [0, 0, 3 / 20, 3 / 20, 3 / 20, 6 / 20]


def test_the_rest_is_the_worlds_own():
    world, scene, _ = perceived()
    world.reset(seed=3)
    assert scene.resets == [(None, 3)]
    assert world.graspable() == scene.graspable()
    assert world.conventions is scene.conventions
    assert world.observe(GRASP, regions=False).regions == {}
    with pytest.raises(AttributeError):
        world.nothing_of_the_kind  # noqa: B018


def test_a_reset_begins_anew():
    world, _, pointer = perceived()
    for seed in range(2):
        world.reset(seed=seed)
        world.observe(GRASP)
        world.step(np.zeros(7))
    assert [asked[2] for asked in pointer.asked] == [0.0, 0.0]


def test_a_rollout_on_perceived_truth_is_a_rollout_on_truth():
    script = TaskScript("pick up milk_1", (GRASP, RELEASE))
    config, looks = RolloutConfig(horizon=40), [0.1, 0.9, 0.9, 0.1]
    results = []
    for world in (Scene(success_after=20), perceived()[0]):
        world.reset(seed=0)
        results.append(rollout(world, FakePolicy(looks), script, config))
    assert results[0] == results[1]
    assert results[0].success
    assert results[0].pauses == ()


def test_a_failed_grounding_holds_the_robot_and_is_recorded():
    world, scene, pointer = perceived()
    pointer.error = ReasonError("the endpoint is down")
    world.reset(seed=0)
    policy = FakePolicy()
    script = TaskScript("pick up milk_1", (GRASP, RELEASE))
    result = rollout(world, policy, script, RolloutConfig(horizon=10))
    assert (result.outcome, result.steps, policy.calls) == ("horizon", 10, 0)
    assert all(not action.any() for action in scene.actions)
    assert [(p.step, p.reason) for p in result.pauses] == [
        (0, "grounding 'the milk' failed: the endpoint is down")
    ]
    record = EpisodeRecord(Trial("s", 0, 0), {}, 0, None, script, "milk_1", result)
    assert EpisodeRecord.from_json(record.to_json()).result == result


def test_a_lost_target_holds_the_gripper_until_it_is_found():
    world, scene, _ = perceived(lost_after_s=0.1)
    world.reset(seed=0)
    held = range(6, 12)

    def hide(moment: Any) -> None:
        scene.hidden = moment.step + 1 in held

    script = TaskScript("pick up milk_1", (GRASP,))
    policy = FakePolicy()
    result = rollout(world, policy, script, RolloutConfig(horizon=20), watch=hide)
    still = [i for i, action in enumerate(scene.actions) if not action[:6].any() and i]
    # Hidden from frame 6 on (0.3 s), last seen at 0.25 s: beyond 0.1 s from frame 8 on.
    assert [(p.step, p.reason) for p in result.pauses] == [(8, "the target 'the milk' is lost")]
    assert still == [8, 9, 10, 11]
    assert all(scene.actions[i][6] == 1.0 for i in still)
    assert policy.calls > 1


class Reading:
    """A reasoner that calls things by other names."""

    def decompose(self, instruction: str, images: Mapping[str, np.ndarray]) -> PhrasedScript:
        if instruction == "fly":
            raise ReasonError("there is nothing to fly with")
        script = TaskScript(instruction, (Subtask("grasp", "white carton"),))
        return PhrasedScript(script, ("the white carton",))


def test_the_policy_is_told_what_the_words_mean_and_the_world_judges():
    world, scene, pointer = perceived(reasoner=Reading())
    world.reset(seed=0)
    script = TaskScript("pick up the milk", (GRASP, RELEASE))
    scene.grasps = lambda marked: "milk_1"
    scene.marked = "milk_1"
    told = world.told(script)
    result = rollout(world, FakePolicy([0.1]), script, RolloutConfig(horizon=30), told=told)
    assert pointer.asked == [("white carton", "the white carton", 0.0)]
    assert result.told == ("grasp white carton",)
    assert result.success  # of the script's own goal
    with pytest.raises(ReasonError, match="nothing to fly with"):
        world.told(TaskScript("fly", (GRASP,)))


def test_transitions_of_a_told_script_name_its_subtasks():
    world, _, _ = perceived(reasoner=Reading())
    world.reset(seed=0)
    script = TaskScript("pick up the milk", (RELEASE, GRASP))
    told = world.told(script)
    result = rollout(world, FakePolicy([0.9]), script, RolloutConfig(horizon=30), told=told)
    line = EpisodeRecord(Trial("s", 0, 0), {}, 0, None, script, "milk_1", result).to_json()
    assert [t["left"] for t in line["transitions"]] == ["grasp white carton"]


def test_results_of_another_segmenter_are_not_counted_together():
    plain = FakeWorlds()
    worlds = PerceivedWorlds(plain, "classical", PerceptionOptions(every=2))
    settings = worlds.settings()
    assert settings["rendering"] == "none"
    assert settings["segmenter"] == "classical"
    assert settings["perception"]["every"] == 2
    assert pickle.loads(pickle.dumps(worlds)).settings() == settings
    assert worlds.tasks("kitchen") == plain.tasks("kitchen")


def test_the_command_wraps_the_worlds_only_where_it_is_asked_to():
    def worlds(**options: Any) -> Any:
        campaign: Campaign = EpisodeOptions(**options).campaign_of(
            _Policies(), "libero_object", "0", Path("x")
        )
        return campaign.worlds

    assert "segmenter" not in worlds().settings()
    assert worlds(segmenter="classical").settings()["segmenter"] == "classical"
    vlm = PerceptionOptions(vlm="http://x/v1")
    assert worlds(perception=vlm).settings()["perception"]["vlm"] == "http://x/v1"


class _Policies:
    name = "fake"

    def fingerprint(self) -> str:
        return "fake"


def test_missing_weights_close_the_world_and_say_how_to_get_them():
    made: list[FakeWorld] = []

    class Source(FakeWorlds):
        def __call__(self, *args: Any) -> FakeWorld:
            made.append(super().__call__(*args))
            return made[-1]

    with pytest.raises(RainError, match=r"hf download facebook/sam2\.1-hiera-tiny"):
        PerceivedWorlds(Source(), "sam2", PerceptionOptions())("kitchen", 0, 32, ("agentview",))
    assert made[0].closed


def test_a_vlm_plans_and_points_over_http():
    answers = iter(
        [
            '[{"action": "pick up", "object": "the milk"}]',
            '{"bbox_2d": [0, 125, 125, 250]}',
            '{"bbox_2d": [0, 125, 125, 250]}',
        ]
    )
    with StubServer(lambda body: completion(next(answers))) as server:
        options = PerceptionOptions(vlm=server.url)
        scene = Scene(success_after=20)
        world = PerceivedWorld(
            scene,
            make_loop(scene, "truth", options),
            reasoner=make_reasoner(options),
        )
        world.reset(seed=0)
        told = world.told(TaskScript("take the milk", (GRASP,)))
        assert told.subtasks == (Subtask("grasp", "the milk"),)
        seen = world.observe(told.subtasks[0])
    assert set(seen.regions) == {"agentview", "wrist"}
    assert len(server.requests) == 3


def test_segmenters_by_name():
    scene = Scene()
    for name, kind in (("truth", "TruthSegmenter"), ("classical", "ClassicalSegmenter")):
        assert type(make_segmenter(name, PerceptionOptions(), scene)).__name__ == kind


def test_libero_is_followed_by_the_light_tracker(libero_world):
    world = PerceivedWorld(libero_world, make_loop(libero_world, "classical", PerceptionOptions()))
    world.reset(seed=5)
    subtask = world.script.subtasks[0]
    world.observe(subtask)
    shares = []
    for _ in range(15):
        world.step(np.array([0.3, -0.1, -0.4, 0, 0, 0, -1]))
        seen = world.observe(subtask)
        for view, region in seen.regions.items():
            true = libero_world.regions([subtask.target], view)[0]
            if true.any():
                shares.append((region & true).sum() / (region | true).sum())
    assert world.pause is None
    assert len(shares) >= 15
    assert np.mean(shares) > 0.6


def test_a_mask_prompt_is_the_truth():
    found = TruthGrounder(Scene(), "mask").ground(
        "milk_1", "", Frame({"wrist": np.zeros((32, 32, 3), np.uint8)}, 0.0)
    )
    assert isinstance(found["wrist"], Mask)


def test_the_example_runs_from_the_bare_instruction(libero_world):
    """Over real HTTP, against a stub that answers from LIBERO's annotations."""
    path = Path(__file__).parents[2] / "examples" / "03_from_words.py"
    spec = importlib.util.spec_from_file_location("from_words", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    libero_world.reset(seed=7)
    result, asked = example.run(libero_world, None, horizon=24)
    assert result.told == (
        "grasp the alphabet soup",
        "release the contain region of the basket",
    )
    assert result.pauses == ()
    assert result.predictions >= 3
    # The plan once, the target of the first subtask once in each of two views.
    assert "Pick the alphabet soup and place it in the basket" in asked[0]
    where = "Locate the bounding box of the alphabet soup. Return a json."
    assert asked[1:3] == [where, where]
    assert asked.count(where) == 2
