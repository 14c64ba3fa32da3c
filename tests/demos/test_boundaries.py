from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.cli import demos as command
from rain.demos.annotate import AT_REST, WITHDRAWN, Trace
from rain.demos.boundaries import TOLERANCE, compare, expert_end
from rain.demos.hdf5 import read_recordings, write_demonstration
from rain.types import RainError, Subtask, SubtaskSpan
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.demonstrate import ExpertConfig, demonstrate


@pytest.fixture(scope="module")
def recorded(libero_world: LiberoWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = demonstrate(libero_world, "protocol", 1, ExpertConfig(pushed=1.0))
    assert isinstance(made, Demonstration), made
    path = tmp_path_factory.mktemp("demos") / "task_00" / "demo_00000.hdf5"
    write_demonstration(path, made, "scene.bddl")
    return path


def test_annotation_finds_the_boundaries_the_expert_logged(
    libero_world: LiberoWorld, recorded: Path
) -> None:
    (recording,) = read_recordings(recorded)
    checked = compare(libero_world, recording)
    assert not checked.failure
    assert [b.subtask.action_type for b in checked.boundaries] == ["grasp", "release"]
    for boundary in checked.boundaries:
        assert abs(boundary.late) <= TOLERANCE
        assert boundary.expert <= boundary.went_on
    assert recording.subtask is not None
    assert checked.boundaries[-1].went_on == len(recording.actions)


def test_annotation_does_not_read_the_log(libero_world: LiberoWorld, recorded: Path) -> None:
    (recording,) = read_recordings(recorded)
    assert recording.subtask is not None
    early = np.r_[recording.subtask[20:], np.full(20, recording.subtask[-1])]
    honest = compare(libero_world, recording).boundaries
    lying = compare(libero_world, dataclasses.replace(recording, subtask=early)).boundaries
    assert [b.annotated for b in lying] == [b.annotated for b in honest]
    assert lying[0].late == honest[0].late + 20


def made_up() -> tuple[Trace, np.ndarray, np.ndarray]:
    """Something is moved from step 20 to 40; the hand opens at 50 and leaves 1 cm a step."""
    steps = np.arange(80)
    states = np.zeros((80, 7), np.float32)
    states[:, 0] = np.maximum(steps - 50, 0) * 0.01
    moved = np.clip((steps - 20) / 20, 0, 1)[:, None] * np.array([0.16, 0.16])
    assert (moved[1:] - moved[:-1]).max() > AT_REST
    actions = np.zeros((80, 7))
    actions[:, 6] = np.where((steps >= 15) & (steps < 50), 1, -1)
    seen = Trace(states, np.tile(np.eye(3), (80, 1, 1)), {}, (frozenset(),) * 80,
                 np.ones((80, 2), bool), moved)  # fmt: skip
    return seen, actions, (steps >= 65).astype(int)


@pytest.mark.parametrize(
    ("action_type", "end"),
    [("grasp", 65), ("open", 50 + round(WITHDRAWN / 0.01)), ("release", 54), ("push", 54)],
)
def test_the_experts_own_end(action_type: str, end: int) -> None:
    seen, actions, log = made_up()
    target = "plate_1->main_table:stove_front_region" if action_type == "push" else "x_1"
    span = SubtaskSpan(Subtask(action_type, target), 0, 1, 2, np.zeros(3), np.eye(3))
    assert expert_end(seen, actions, log, span, 0) == end


def test_the_command_prints_the_shares(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check", str(recorded), "--workers", "1", "--verbose"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 of 2 boundaries (100.0%) within 5 steps" in printed
    assert "grasp" in printed


def test_files_without_a_log_are_refused(recorded: Path, tmp_path: Path) -> None:
    (recording,) = read_recordings(recorded)
    made = Demonstration(
        "libero_object", 0, "protocol", 0, recording.script, "regions", recording.states,
        recording.actions, recording.disturbed, recording.fixture_poses,
    )  # fmt: skip
    path = tmp_path / "demo.hdf5"
    write_demonstration(path, made, "scene.bddl")
    with pytest.raises(RainError, match="no expert's log"):
        command.main(["check", str(path)])
