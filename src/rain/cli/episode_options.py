"""The options that ``rain bench run`` and ``rain rollout`` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rain.bench.campaign import Campaign
from rain.bench.episode import RolloutConfig
from rain.bench.omy import worlds_of
from rain.bench.protocols import PolicySource, WorldSource
from rain.bench.records import Target
from rain.bench.sources import Rendering
from rain.bench.trials import Starts
from rain.bench.worker import Film
from rain.perception.options import PerceptionOptions, SegmenterName
from rain.perception.world import PerceivedWorlds
from rain.types import RainError


@dataclass(frozen=True)
class EpisodeOptions:
    """Which episodes are run, and how."""

    episodes: int = 10
    """Episodes of each task; episode i starts from init state i."""
    starts: Starts = "official"
    """official init states (for evaluation only), those for development that libero-ex has beside
    them, or fresh resets of the same regions."""
    target: Target = "own"
    """own: the task. another: region following, i.e. the regions of the scene's other objects in
    turn; success is the marked object in its place. scene: the same with every object and every
    place of the scene in turn."""
    workers: int = 1
    """Processes with one simulator each."""
    threads: int = 1
    """CPU threads of the network and of the software renderer, in each process."""
    out: Path | None = None
    """Folder of episodes.jsonl, summary.json and videos; by default a folder of this command's in
    runs, named after policy and suite."""
    video: Film = "none"
    """Film no episode, the first of each task, all, or keep the films of failures."""
    rendering: Rendering = "fast"
    """fast: without reflections; official: as LIBERO renders."""
    seed: int = 0
    """Seed of the policy's noise."""
    horizon: int | None = None
    """Control steps an episode may take; default: what the task declares or is usual for it."""
    execute: int | None = None
    """Actions of a chunk that are executed before the next look; default: 8 of RAIN's 16, of a
    served policy what its conventions say."""
    segmenter: SegmenterName = "truth"
    """Where regions come from: the simulator (truth), or a tracker that is seeded once a subtask:
    classical (no weights needed), sam2, edgetam (docs/perception.md)."""
    perception: PerceptionOptions = field(default_factory=PerceptionOptions)
    """How targets are pointed at and followed, where regions are not the simulator's own."""
    threshold: float = 0.7
    """Completion above which a subtask counts as complete."""
    consecutive: int = 2
    """Looks in a row above the threshold that move to the next subtask."""

    def campaign_of(self, policies: PolicySource, suite: str, tasks: str, folder: Path) -> Campaign:
        """The same as the bench room's words; folder: where ``out`` names none."""
        return Campaign(
            policies=policies,
            worlds=self._worlds(suite),
            suite=suite,
            tasks=tasks,
            episodes=self.episodes,
            folder=(self.out or folder).resolve(),
            target=self.target,
            starts=self.starts,
            seed=self.seed,
            film=self.video,
            workers=self.workers,
            rollout=RolloutConfig(
                execute=_executed(self.execute, policies),
                threshold=self.threshold,
                consecutive=self.consecutive,
                horizon=RolloutConfig.horizon if self.horizon is None else self.horizon,
            ),
            own_horizons=self.horizon is None,
        )

    def _worlds(self, suite: str) -> WorldSource:
        worlds = worlds_of(suite, self.rendering, self.threads)
        if self.segmenter == "truth" and self.perception == PerceptionOptions():
            return worlds
        return PerceivedWorlds(worlds, self.segmenter, self.perception)


def _executed(asked: int | None, policies: PolicySource) -> int:
    """Actions executed between looks; RainError where the policy itself says another number."""
    own = getattr(policies, "execute", None)
    if asked is not None and own not in (None, asked):
        raise RainError(
            f"--execute {asked}: the policy's own number is {own}; its address takes "
            f"?execute={asked}"
        )
    return next(n for n in (asked, own, RolloutConfig.execute) if n is not None)
