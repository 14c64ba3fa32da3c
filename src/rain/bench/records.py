"""Records of a policy's episodes: JSON lines that survive an interrupted run (``lines.py``).

Crashed episodes are recorded as crashed and do not count as done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rain.bench.episode import EpisodeResult, Grasp, Intervention, Pause, Touch, Transition
from rain.bench.lines import LineFile, read_lines
from rain.types import RainError, Subtask, TaskScript

FORMAT = 1

Target = Literal["own", "another", "scene"]


@dataclass(frozen=True)
class Trial:
    """What identifies an episode of a run.

    target: ``own``, the task's own script and goal; ``another``, region following: the script of
        another object of the same scene, judged by that object alone; ``scene``, the same with
        every object and every place in turn.
    """

    suite: str
    task: int
    episode: int
    target: Target = "own"


@dataclass(frozen=True)
class EpisodeRecord:
    """One line of a record file.

    settings: what the result depends on beside the trial (weights, rollout, rendering …).
    init_state, seed: the official init state or the seed of a fresh reset; one is None.
    marked: the object that the region marks first, e.g. ``milk_1``.
    result: None when the episode crashed; ``error`` then holds the traceback.
    video: file name, relative to the record file's folder.
    conventions: what policy and world agreed on, None in records older than it.
    """

    trial: Trial
    settings: dict[str, Any]
    init_state: int | None
    seed: int | None
    script: TaskScript
    marked: str
    result: EpisodeResult | None
    error: str | None = None
    video: str | None = None
    conventions: dict[str, Any] | None = None

    @property
    def outcome(self) -> str:
        """``success``, ``spoiled``, ``finished``, ``horizon``, ``stopped`` or ``crashed``."""
        return self.result.outcome if self.result is not None else "crashed"

    def to_json(self) -> dict[str, Any]:
        """A flat, self-explaining JSON object."""
        result: dict[str, Any] = (
            asdict(self.result) if self.result is not None else {"outcome": "crashed"}
        )
        subtasks = self.script.subtasks
        left = result.get("told") or tuple(map(str, subtasks))
        for transition in result.get("transitions", ()):
            transition["left"] = left[transition["subtask"]]
        return {
            "format": FORMAT,
            **asdict(self.trial),
            "marked": self.marked,
            "init_state": self.init_state,
            "seed": self.seed,
            "instruction": self.script.instruction,
            "script": [[s.action_type, s.target] for s in subtasks],
            **result,
            "error": self.error,
            "video": self.video,
            "conventions": self.conventions,
            "settings": self.settings,
        }

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> EpisodeRecord:
        """The inverse of ``to_json``; KeyError, TypeError or RainError for a foreign object."""
        if line["format"] != FORMAT:
            raise RainError(f"record format {line['format']}, this version reads {FORMAT}")
        result = _result(line) if line["outcome"] != "crashed" else None
        return cls(
            trial=Trial(line["suite"], line["task"], line["episode"], line["target"]),
            settings=line["settings"],
            init_state=line["init_state"],
            seed=line["seed"],
            script=TaskScript(line["instruction"], tuple(Subtask(*s) for s in line["script"])),
            marked=line["marked"],
            result=result,
            error=line["error"],
            video=line["video"],
            conventions=line.get("conventions"),
        )


def _result(line: dict[str, Any]) -> EpisodeResult:
    """The result in a line; what older versions did not record keeps its default."""
    known = EpisodeResult.__dataclass_fields__
    fields = {name: line[name] for name in known if name in line}
    fields["transitions"] = tuple(
        Transition(**{name: t[name] for name in Transition.__dataclass_fields__})
        for t in fields["transitions"]
    )
    fields["grasps"] = tuple(Grasp(**grasp) for grasp in fields["grasps"])
    if fields.get("touches") is not None:
        fields["touches"] = tuple(Touch(**touch) for touch in fields["touches"])
    fields["pauses"] = tuple(Pause(**pause) for pause in fields.get("pauses", ()))
    fields["interventions"] = tuple(Intervention(**i) for i in fields.get("interventions", ()))
    if fields.get("told") is not None:
        fields["told"] = tuple(fields["told"])
    if fields.get("done") is not None:
        fields["done"] = tuple(fields["done"])
    return EpisodeResult(**fields)


def read_records(path: Path) -> list[EpisodeRecord]:
    """All records of a file, oldest first; see ``read_lines``."""
    return read_lines(path, EpisodeRecord.from_json)


SettingsOf = Callable[[Trial], dict[str, Any]]
"""Trial -> what its result depends on beside it."""


def latest(records: Iterable[EpisodeRecord], settings_of: SettingsOf) -> dict[Trial, EpisodeRecord]:
    """The newest record of each trial among those made with the trial's settings."""
    return {r.trial: r for r in records if r.settings == settings_of(r.trial)}


class RecordFile(LineFile[EpisodeRecord]):
    """Appends records; see ``LineFile``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, EpisodeRecord.from_json)

    def done(self, settings_of: SettingsOf) -> set[Trial]:
        """The trials that need not run again: recorded with their settings and not crashed."""
        found = latest(self.records, settings_of)
        return {trial for trial, record in found.items() if record.result is not None}
