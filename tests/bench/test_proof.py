"""Proving that LIBERO-EX can be solved: the judge's rules, resuming, the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.bench import proof
from rain.bench.lines import LineFile
from rain.bench.proof import Judge, ProofEpisode, ProofTrials, prove, settings_of
from rain.bench.proof_table import markdown, score_categories, score_tasks, summary
from rain.types import RainError
from rain.worlds.libero.ex.tasks import ExTask, ex_task

ORDINARY, PART = ex_task("051"), ex_task("069")


class Told:
    """A world whose goal, and whole task, hold at the steps named."""

    def __init__(self, goal: Sequence[int], whole: Sequence[int] = ()) -> None:
        self.goal, self.whole, self.step = goal, whole, 0

    def success(self) -> bool:
        self.step += 1
        return self.step in self.goal

    def full_success(self) -> bool:
        return self.step in self.whole


def judged(task: ExTask, world: Told, steps: int, complaint: str = "") -> tuple[int, str]:
    judge = Judge(world, task)
    for _ in range(steps):
        judge.look()
    return judge.steps, judge.failure(complaint)


def test_an_ordinary_task_is_done_when_its_goal_holds_once() -> None:
    assert judged(ORDINARY, Told([7]), 20, "stuck later") == (7, "")
    assert judged(ORDINARY, Told([]), 20, "stuck") == (20, "stuck")
    assert judged(ORDINARY, Told([]), 20) == (20, "the expert took it for done")


def test_a_part_must_hold_at_the_end_and_the_whole_never() -> None:
    assert judged(PART, Told([7]), 20, "lost it") == (20, "lost it")
    assert judged(PART, Told(range(7, 30)), 20) == (20, "")
    assert judged(PART, Told(range(7, 30), whole=[12]), 20) == (20, "the whole task was done")


@pytest.mark.parametrize("task", [ORDINARY, PART])
def test_what_comes_after_the_horizon_does_not_count(task: ExTask) -> None:
    late = range(task.horizon + 1, task.horizon + 50)
    steps, failure = judged(task, Told(late), task.horizon + 40)
    assert steps == task.horizon
    assert failure == f"not done within the horizon of {task.horizon} steps"


def episode(task: ExTask, init_state: int, steps: int, failure: str = "") -> ProofEpisode:
    return ProofEpisode(task.id, init_state, {"seed": 0}, steps, 1.0, failure, failure)


def test_tables_from_made_up_episodes() -> None:
    layout = ex_task("040")
    tasks = [layout, ORDINARY, PART]
    episodes = [
        episode(layout, 0, 50),
        episode(layout, 1, 70),
        episode(ORDINARY, 0, 600, "stuck"),
        episode(ORDINARY, 1, 200),
    ]
    scores = score_tasks(tasks, episodes)
    assert [(s.successes, s.episodes, s.steps) for s in scores.values()] == [
        (2, 2, 60.0), (1, 2, 200.0), (0, 0, None),
    ]  # fmt: skip
    assert list(score_categories(tasks, episodes)) == ["layout", "task", "all"]
    lines = markdown(tasks, episodes).splitlines()
    # Wilson's interval of 3 of 4 by the published formula.
    assert "| all | 3/4 | 75.0 % | 30.1–95.4 % |" in lines
    assert "| 040 | layout | Close the microwave. | 2/2 | 60 |  |" in lines
    assert any(
        line.startswith("| 051 |") and line.endswith("| 1/2 | 200 | 1× stuck |") for line in lines
    )
    assert any(line.startswith("| 069 |") and "| 0/0 | – |" in line for line in lines)
    found = json.loads(json.dumps(summary(tasks, episodes, seed=0), allow_nan=False))
    assert found["tasks"]["051"]["failures"] == {"stuck": 1}
    assert found["categories"]["all"]["rate"] == 0.75


def fake_task(
    task: ExTask, init_states: Sequence[int], settings: dict[str, Any]
) -> Iterator[ProofEpisode]:
    for init_state in init_states:
        yield ProofEpisode(task.id, init_state, settings, 10 + init_state, 0.1, "", "")


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[int]]] = []

    def stream(function: Any, jobs: Any, workers: int) -> Iterator[ProofEpisode]:
        for task, init_states, settings in jobs:
            asked.append((task.id, init_states))
            yield from fake_task(task, init_states, settings)

    monkeypatch.setattr(proof, "stream_jobs", stream)
    tasks, path = [ORDINARY, PART], tmp_path / "episodes.jsonl"
    done: list[int] = []
    with LineFile(path, ProofEpisode.from_json) as file:
        prove([ORDINARY], ProofTrials(episodes=2), file, done.append)
        # Made by another expert: it says nothing about this one.
        stale = {**settings_of(PART, ProofTrials()), "expert": "another"}
        file.append(ProofEpisode(PART.id, 0, stale, 5, 0.1, "stuck", "stuck"))
    with path.open("ab") as torn:
        torn.write(b'{"task": "069", "init')
    with LineFile(path, ProofEpisode.from_json) as file:
        found = prove(tasks, ProofTrials(episodes=3), file, done.append)
    assert asked == [("051", [0, 1]), ("051", [2]), ("069", [0, 1, 2])]
    assert [(e.task, e.init_state) for e in found] == [
        (task.id, number) for task in tasks for number in range(3)
    ]
    assert all(e.success for e in found)
    assert done == [0, 1, 1, 2, 1, 1, 1, 1]


def test_development_starts_follow_those_for_evaluation() -> None:
    assert list(ProofTrials(2).init_states()) == [0, 1]
    assert list(ProofTrials(2, "development").init_states()) == [10, 11]
    with pytest.raises(RainError, match="10 init states for evaluation"):
        ProofTrials(11).init_states()
    with pytest.raises(RainError, match="workers"):
        ProofTrials(workers=0).init_states()
