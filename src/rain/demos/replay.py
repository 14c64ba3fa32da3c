"""From demonstration files to a dataset: replay the states, annotate, render what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rain.demos.annotate import Trace, annotate, signed_gripper, trace
from rain.demos.dataset import DatasetWriter
from rain.demos.episode import Episode
from rain.demos.hdf5 import Recording, read_recording, read_recordings, scene_of
from rain.demos.order import in_the_order_done
from rain.types import HORIZON, RainError, SubtaskSpan, TaskScript
from rain.worlds.labels import Labeller
from rain.worlds.libero.world import STATE_MEANING as LIBERO_STATE
from rain.worlds.opening import RecordedWorld, conventions_of, open_world
from rain.worlds.processes import run_jobs

PACK_AT = 25
"""Episodes that wait before they are packed: many small files would be slow to open."""


@dataclass(frozen=True)
class ReplayConfig:
    """Which frames are kept and how they are drawn.

    stride: steps between kept frames; dense: steps between them about interactions and
    boundaries, where the policy's decisions are; 1 and 1 keep every control step.
    images: "png" keeps them exactly, "video" as H.264, some times smaller.
    """

    image_size: int = 128
    rendering: str = "fast"
    stride: int = 5
    dense: int = 2
    workers: int = 2
    images: Literal["png", "video"] = "png"


@dataclass(frozen=True)
class Job:
    """One demonstration and the number it gets in the dataset."""

    file: Path
    name: str
    number: int
    suite: str
    task: int

    @property
    def source(self) -> str:
        """What identifies the demonstration in the dataset's index."""
        return source_of(self.file, self.name)


def source_of(file: Path, name: str) -> str:
    """Identify a demonstration by its suite's and task's folders, file and place in the file."""
    return "/".join([*file.absolute().parts[-3:], name])


def plan_jobs(files: list[Path], writer: DatasetWriter) -> list[Job]:
    """Number the demonstrations that the dataset lacks, after those it has."""
    there = {entry.details.get("source") for entry in writer.entries()}
    number = len(writer)
    jobs = []
    for file in sorted(files):
        for recording in read_recordings(file):
            if source_of(file, recording.name) not in there:
                jobs.append(Job(file, recording.name, number, *task_of(recording)))
                number += 1
    return jobs


def task_of(recording: Recording) -> tuple[str, int]:
    """The suite and index of a recording's task."""
    if recording.suite is not None and recording.task is not None:
        return recording.suite, recording.task
    return scene_of(recording.file, recording.bddl)


def process(
    files: list[Path], out: Path, track: str, config: ReplayConfig
) -> Iterator[tuple[int, list[str]]]:
    """Render every demonstration that ``out`` lacks; yields (finished, messages) as it goes.

    A demonstration that cannot be annotated is left out and named in the messages.
    """
    if not files:
        raise RainError("no .hdf5 file was found; make some with rain collect")
    first = next(read_recordings(sorted(files)[0]))
    conventions = conventions_of(task_of(first)[0], config.image_size)
    writer = DatasetWriter(out, conventions, track, images=config.images)
    missing = plan_jobs(files, writer)
    yield len(files) - len({job.file for job in missing}), []
    by_task: dict[tuple[str, int], list[Job]] = {}
    for job in missing:
        by_task.setdefault((job.suite, job.task), []).append(job)
    # First pieces first, so that a partial dataset already holds every task.
    pieces = [(i, jobs[i : i + 20]) for jobs in by_task.values() for i in range(0, len(jobs), 20)]
    pieces.sort(key=lambda piece: piece[0])
    jobs = [(piece, writer, config) for _, piece in pieces]
    try:
        for result in run_jobs(_process_piece, jobs, config.workers):
            writer.commit(at_least=PACK_AT)
            yield result
    finally:
        writer.commit()


def _process_piece(
    jobs: list[Job], writer: DatasetWriter, config: ReplayConfig
) -> tuple[int, list[str]]:
    size = config.image_size
    world = open_world(jobs[0].suite, jobs[0].task, image_size=size, rendering=config.rendering)
    messages = []
    theirs = f"{jobs[0].suite} task {jobs[0].task}"
    writer.header.conventions.check(world.conventions, "the dataset", theirs)
    try:
        for job in jobs:
            recording = read_recording(job.file, job.name)
            if failure := recording.details.get("failure"):
                messages.append(f"{job.source}: a failed attempt ({failure})")
                continue
            try:
                episode = replay(world, recording, config)
            except RainError as error:
                messages.append(f"{job.source}: {error}")
                continue
            writer.append(episode, job.number)
    finally:
        world.close()
    return len({job.file for job in jobs}), messages


def replay(world: RecordedWorld, recording: Recording, config: ReplayConfig) -> Episode:
    """Replay one recording in its scene and render the frames that are kept."""
    script = recording.script or world.script
    seen = look_again(world, recording, script)
    if recording.script is None:
        script, seen = in_the_order_done(script, seen)
    spans = annotate(script, seen, signed_gripper(recording.actions, world.conventions.action))
    frames = kept_frames(spans, recording.disturbed, config)
    if len(frames) == 0:
        raise RainError("every frame is followed by a disturbance: nothing to learn from")
    targets = list(dict.fromkeys(s.target for s in script.subtasks))
    views = world.conventions.views
    images, labels, labeller = [], [], Labeller(world.targets())
    for step in frames:
        world.set_state(recording.states[step])
        images.append([world.render(view, config.image_size) for view in views])
        labels.append([world.label_map(view, labeller) for view in views])
    return Episode(
        frames=frames.astype(np.int32),
        targets=tuple(targets),
        states=seen.states.astype(np.float32),
        actions=recording.actions.astype(np.float32),
        ee_rotation=seen.rotation.astype(np.float32),
        disturbed=recording.disturbed,
        spans=spans,
        details={**recording.details, "source": source_of(recording.file, recording.name),
                 "instruction": script.instruction},
        images=np.array(images),
        labels=np.array(labels),
        table=labeller.table,
        # Where the state begins with it, it is not kept twice.
        ee_position=None if world.conventions.state == LIBERO_STATE else seen.positions,
    )  # fmt: skip


def look_again(world: RecordedWorld, recording: Recording, script: TaskScript) -> Trace:
    """Replay a recording's states in its scene, with the fixtures where they stood."""
    world.reset(seed=0, settle=False)
    if recording.fixture_poses is not None:
        world.set_fixture_poses(recording.fixture_poses)
    return trace(world, recording.states, script)


def kept_frames(
    spans: tuple[SubtaskSpan, ...], disturbed: NDArray[np.bool_], config: ReplayConfig
) -> NDArray[np.int64]:
    """Choose frames: every ``stride`` steps, denser about interactions and boundaries.

    Frames whose action chunk would hold an injected disturbance are left out; what is kept past
    the last boundary lets the progress head see completed subtasks.
    """
    steps = len(disturbed)
    near = np.full(steps, config.stride)
    for span in spans:
        near[max(0, span.interaction - 6) : span.interaction + 12] = config.dense
        near[max(0, span.end - 3) : span.end + 9] = config.dense
    soon = np.array([disturbed[t : t + HORIZON].any() for t in range(steps)])
    frames, last = [], -(10**6)
    for step in range(steps):
        if step - last >= near[step] and not soon[step]:
            frames.append(step)
            last = step
    return np.array(frames, dtype=np.int64)
