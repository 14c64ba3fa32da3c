"""``rain rollout``: run a checkpoint in the simulator, record every episode, score it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.sources import CheckpointPolicies
from rain.cli.dashboard_options import PageOptions
from rain.cli.episode_options import EpisodeOptions
from rain.types import RainError


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
    dashboard: bool = False
    """Show the episodes on the operator's page, where they can be steered; what is done there is
    recorded, and such episodes count for no other run."""
    page: tyro.conf.OmitArgPrefixes[PageOptions] = field(default_factory=PageOptions)

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
    campaign, console = options.campaign(), Console()
    if options.dashboard:
        return 1 if _shown(campaign, options.page, console) else 0
    return 1 if run_campaign(campaign, console) else 0


def _shown(campaign: Campaign, page: PageOptions, console: Console) -> int:
    """Run the campaign on the operator's page; returns crashed episodes."""
    from rain.dashboard.episodes import launch_here
    from rain.dashboard.rollout_session import RolloutOptions, RolloutSession

    if campaign.workers > 1:
        raise RainError("--dashboard shows one episode at a time: leave out --workers")
    shown = RolloutOptions(page.pixels, page.every, page.speed)
    session = RolloutSession(f"{campaign.suite} · {campaign.policies.name}", shown, planned=True)
    with page.served(session) as address:
        console.print(f"{session.about['title']} at {address}", markup=False, soft_wrap=True)
        steered = replace(campaign, operator=session, launch=launch_here(session))
        return run_campaign(steered, console)
