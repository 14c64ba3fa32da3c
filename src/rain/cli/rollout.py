"""``rain rollout``: run a checkpoint in the simulator, record every episode, score it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.sources import CheckpointPolicies
from rain.cli.episode_options import EpisodeOptions


@dataclass(frozen=True)
class Rollout(EpisodeOptions):
    """Run a checkpoint in the simulator, record every episode and score it.

    Ctrl-C keeps what was recorded; the same command goes on where it stopped.
    """

    suite: str = "libero_object"
    """libero_spatial, libero_object, libero_goal, libero_10, libero_90, libero_ex, one of
    LIBERO-PRO's, or the simulated arm's: omy."""
    task: str = "all"
    """Task number, several (0,2,5) or all; of libero_ex its id (040)."""
    checkpoint: str = "rain-nano"
    """A checkpoint folder, or the name of a shipped one."""
    check_every_step: bool = False
    """Look at every control step, at one network call each."""

    def campaign(self) -> Campaign:
        """The same as the bench room's words."""
        policies = CheckpointPolicies(self.checkpoint, self.threads)
        suite = self.suite.replace("-", "_")  # libero-ex and libero_ex are one
        folder = Path("runs") / f"{policies.name}-{suite}-{self.target}"
        campaign = self.campaign_of(policies, suite, self.task, folder)
        looks = replace(campaign.rollout, check_every_step=self.check_every_step)
        return replace(campaign, rollout=looks)


def main(args: list[str]) -> int:
    """Run ``rain rollout``."""
    options = tyro.cli(Rollout, args=args, prog="rain rollout")
    crashed = run_campaign(options.campaign(), Console())
    return 1 if crashed else 0
