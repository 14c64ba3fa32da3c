"""``rain rollout``: run a checkpoint in the simulator, record every episode, score it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.episode import RolloutConfig
from rain.bench.records import Target
from rain.bench.sources import CheckpointPolicies, LiberoWorlds, Rendering
from rain.bench.trials import Starts
from rain.bench.worker import Film


@dataclass(frozen=True)
class Rollout:
    """Run a checkpoint in LIBERO, record every episode and score it.

    Ctrl-C keeps what was recorded; the same command goes on where it stopped.
    """

    suite: str = "libero_object"
    """libero_spatial, libero_object, libero_goal, libero_10, libero_90, libero_ex, or one of
    LIBERO-PRO's."""
    task: str = "all"
    """Task number, several (0,2,5) or all; of libero_ex its id (040)."""
    episodes: int = 10
    """Episodes of each task; episode i starts from official init state i."""
    checkpoint: str = "rain-nano"
    """A checkpoint folder, or the name of a shipped one."""
    target: Target = "own"
    """own: the task. another: region following, i.e. the regions of the scene's other objects in
    turn; success is the marked object in its place."""
    starts: Starts = "official"
    """official init states (for evaluation only), those for development that libero_ex has beside
    them, or fresh resets of the same regions."""
    workers: int = 1
    """Processes with one simulator each."""
    threads: int = 1
    """CPU threads of the network and of the software renderer, in each process."""
    out: Path | None = None
    """Folder of episodes.jsonl, summary.json and videos; default runs/CHECKPOINT-SUITE-TARGET."""
    video: Film = "none"
    """Film no episode, the first of each task, or all."""
    rendering: Rendering = "fast"
    """fast: without reflections; official: as LIBERO renders."""
    seed: int = 0
    """Seed of the policy's noise."""
    horizon: int | None = None
    """Control steps an episode may take; default: as is usual for the suite or declared by the
    task."""
    execute: int = 8
    """Actions of a 16-step chunk that are executed before the next look."""
    threshold: float = 0.7
    """Completion above which a subtask counts as complete."""
    consecutive: int = 2
    """Looks in a row above the threshold that move to the next subtask."""
    check_every_step: bool = False
    """Look at every control step, at one network call each."""

    def campaign(self) -> Campaign:
        """The same as the bench room's words."""
        policies = CheckpointPolicies(self.checkpoint, self.threads)
        suite = self.suite.replace("-", "_")  # libero-ex and libero_ex are one
        folder = self.out or Path("runs") / f"{policies.name}-{suite}-{self.target}"
        return Campaign(
            policies=policies,
            worlds=LiberoWorlds(self.rendering, self.threads),
            suite=suite,
            tasks=self.task,
            episodes=self.episodes,
            folder=folder,
            target=self.target,
            starts=self.starts,
            seed=self.seed,
            film=self.video,
            workers=self.workers,
            rollout=RolloutConfig(
                execute=self.execute,
                threshold=self.threshold,
                consecutive=self.consecutive,
                check_every_step=self.check_every_step,
                horizon=RolloutConfig.horizon if self.horizon is None else self.horizon,
            ),
            own_horizons=self.horizon is None,
        )


def main(args: list[str]) -> int:
    """Run ``rain rollout``."""
    options = tyro.cli(Rollout, args=args, prog="rain rollout")
    crashed = run_campaign(options.campaign(), Console())
    return 1 if crashed else 0
