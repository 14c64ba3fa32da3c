"""Importing people's demonstrations: replay, check, and write those that reproduce.

Each becomes one file in the folders of ``rain collect`` (track ``protocol``), so that processing
takes both alike. What was found is written down beside them line by line: an import that was
stopped goes on, and nothing is imported twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.demos.annotate import annotate, trace
from rain.demos.hdf5 import read_recording, script_facts, write_arrays
from rain.demos.order import in_the_order_done
from rain.demos.published import Published, PublishedFile, read_published
from rain.demos.verify import (
    Scene,
    check_alignment,
    check_scene,
    fixture_poses_of,
    likely_fixture_poses,
    sample_scene,
    state_after,
    succeeds_by_actions,
)
from rain.types import RainError, TaskScript
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.processes import run_jobs

TRACK = "protocol"
JOURNAL = "imported.jsonl"
PIECE = 10
"""Demonstrations that a worker does with one simulator."""


@dataclass(frozen=True)
class ImportConfig:
    """What is done with published files.

    out: folder that gets ``protocol/SUITE/task_NN/human_NNNNN.hdf5``.
    keep_all: write demonstrations whose states do not reach the goal, too.
    actions: also replay the actions open loop, which takes most of the time.
    """

    out: Path
    keep_all: bool = False
    actions: bool = True
    workers: int = 2

    def folder(self, file: PublishedFile) -> Path:
        """Where the demonstrations of a file's task go."""
        return self.out / TRACK / file.suite / f"task_{file.task:02d}"


@dataclass(frozen=True)
class Outcome:
    """What came of one demonstration.

    by_states, by_actions: whether the goal held at the end of the recorded states, and of the
    actions replayed open loop (None: not tried). fixtures: how they stood is in the "file", is
    "assumed", or there are "none". reason: why it does not reproduce or cannot be annotated.
    error: one line that names file and demonstration where it is damaged. written: its file's name.
    """

    origin: str
    key: str = ""
    steps: int = 0
    by_states: bool = False
    by_actions: bool | None = None
    fixtures: str = "file"
    reason: str = ""
    error: str = ""
    written: str = ""


def import_files(
    files: Sequence[PublishedFile], config: ImportConfig
) -> Iterator[tuple[PublishedFile, list[Outcome]]]:
    """Import what is missing; yields each file's outcomes as they come, known ones first."""
    jobs = []
    for file in files:
        known = read_journal(config.folder(file))
        there, missing = [], []
        for name in file.names:
            outcome = known.get(f"{file.path.name}/{name}")
            if outcome is not None and _still_holds(outcome, file, name, config):
                there.append(outcome)
            else:
                missing.append(name)
        yield file, there
        jobs += [(file, missing[i : i + PIECE], config) for i in range(0, len(missing), PIECE)]
    yield from run_jobs(_import_piece, jobs, config.workers)


def read_journal(folder: Path) -> dict[str, Outcome]:
    """Origin -> what an earlier import found; lines that a kill cut short are not counted."""
    path, known = folder / JOURNAL, {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            outcome = Outcome(**json.loads(line))
        except (ValueError, TypeError):
            continue
        known[outcome.origin] = outcome
    return known


def _still_holds(outcome: Outcome, file: PublishedFile, name: str, config: ImportConfig) -> bool:
    """Whether an earlier outcome is of the same content, and all that is asked for now."""
    if outcome.written and not (config.folder(file) / outcome.written).exists():
        return False
    if config.actions and outcome.by_actions is None:
        return False
    if config.keep_all and not outcome.written:
        return False
    try:
        return read_published(file.path, name).key == outcome.key
    except RainError:
        return False


def _import_piece(
    file: PublishedFile, names: list[str], config: ImportConfig
) -> tuple[PublishedFile, list[Outcome]]:
    world = LiberoWorld(file.suite, file.task)
    outcomes = []
    try:
        scene = sample_scene(world)
        for name in names:
            try:
                demo = read_published(file.path, name)
                outcome = import_one(world, scene, file, demo, name, config)
                _note(config.folder(file), outcome)
            except RainError as error:
                where = "" if str(error).startswith(str(file.path)) else f"{file.path}: {name}: "
                outcome = Outcome(f"{file.path.name}/{name}", error=f"{where}{error}")
            outcomes.append(outcome)
    finally:
        world.close()
    return file, outcomes


def _note(folder: Path, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # One short line, appended at once: workers share the file, a kill loses at most its own line.
    with (folder / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")


def import_one(
    world: LiberoWorld,
    scene: Scene,
    file: PublishedFile,
    demo: Published,
    name: str,
    config: ImportConfig,
) -> Outcome:
    """Replay and check one demonstration, and write it where it reproduces.

    RainError where it is not a demonstration of this scene at all, or its file's place is taken.
    """
    path = config.folder(file) / f"human_{int(name[5:]):05d}.hdf5"
    _check_free(path, demo)
    world.reset(seed=0, settle=False)
    check_scene(world, scene, demo.states)
    if demo.model is not None:
        poses, fixtures = fixture_poses_of(world, demo.model), "file"
    else:
        poses = likely_fixture_poses(world, scene, demo.states)
        fixtures = "assumed" if len(poses) else "none"
    world.set_fixture_poses(poses)
    check_alignment(world, demo.states, demo.actions)
    states, actions, by_states = reaching_the_goal(world, demo)
    by_actions = None
    if config.actions:
        by_actions = succeeds_by_actions(world, poses, demo.states[0], demo.actions)
        world.set_fixture_poses(poses)
    script, reason = _script_of(world, states, actions)
    if not by_states:
        reason = "the goal does not hold at the end of its states"
    outcome = Outcome(
        demo.origin, demo.key, len(actions), by_states, by_actions, fixtures, reason,
        written=path.name if by_states or config.keep_all else "",
    )  # fmt: skip
    if outcome.written:
        facts = {
            "suite": file.suite,
            "task": file.task,
            "track": TRACK,
            "layout": "human",
            **script_facts(script),
            "human": {k: v for k, v in asdict(outcome).items() if k != "written"},
        }
        arrays = {"states": states, "actions": actions, "fixture_poses": poses}
        write_arrays(path, Path(file.bddl).name, facts, arrays)
    return outcome


def _check_free(path: Path, demo: Published) -> None:
    """RainError where another demonstration has this one's file name."""
    if not path.exists():
        return
    there = read_recording(path, "demo_0").details.get("human", {})
    if there.get("key") != demo.key:
        raise RainError(
            f"{path} already holds {there.get('origin', 'another demonstration')}; "
            "import this one into another folder (--out)"
        )


def reaching_the_goal(
    world: LiberoWorld, demo: Published
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """States, actions and whether the goal holds at their end.

    Where only the last action reaches it (files without no-ops end so), the state after that
    action is added, with an action that holds still.
    """
    world.set_state(demo.states[-1])
    if world.success():
        return demo.states, demo.actions, True
    last = state_after(world, demo.states[-1], demo.actions[-1])
    if not world.success():
        return demo.states, demo.actions, False
    still = np.r_[np.zeros(6), demo.actions[-1, 6]]
    return np.vstack([demo.states, last]), np.vstack([demo.actions, still]), True


def _script_of(world: LiberoWorld, states: NDArray, actions: NDArray) -> tuple[TaskScript, str]:
    """The task's script in the order in which it was done, and why it cannot be annotated."""
    seen = trace(world, states, world.script)
    script, seen = in_the_order_done(world.script, seen)
    try:
        annotate(script, seen, actions)
    except RainError as error:
        return script, f"no boundary found: {error}"
    return script, ""


@dataclass(frozen=True)
class Tally:
    """Counts over one task's demonstrations."""

    demos: int = 0
    by_states: int = 0
    by_actions: int = 0
    tried_actions: int = 0
    written: int = 0
    damaged: int = 0
    assumed: int = 0
    reasons: tuple[str, ...] = ()

    def plus(self, outcome: Outcome) -> Tally:
        """Count one more."""
        return replace(
            self,
            demos=self.demos + 1,
            by_states=self.by_states + outcome.by_states,
            by_actions=self.by_actions + (outcome.by_actions is True),
            tried_actions=self.tried_actions + (outcome.by_actions is not None),
            written=self.written + bool(outcome.written),
            damaged=self.damaged + bool(outcome.error),
            assumed=self.assumed + (outcome.fixtures == "assumed"),
            reasons=(*self.reasons, *([outcome.reason] if outcome.reason else [])),
        )
