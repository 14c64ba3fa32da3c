"""``rain bench run``: any policy on any suite, scored as in the paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.policies import PolicyOptions, policy_source
from rain.bench.runner import Launch, launch_process
from rain.cli.episode_options import EpisodeOptions
from rain.types import RainError


@dataclass(frozen=True)
class Run(EpisodeOptions):
    """Run a policy, record every episode and score it as the paper does.

    A kill at any point loses at most the episodes that were at work; the same command goes on.
    """

    suite: str = "libero-ex"
    """libero-ex; libero_spatial, libero_object, libero_goal, libero_10, libero_90, or all-libero;
    one of LIBERO-PRO's (libero_object_swap …), or libero-pro for its four axes; several with
    commas. By itself the simulated arm's: omy."""
    tasks: str = "all"
    """Task number, several (0,2,5) or all, of each suite; of libero-ex ids (040)."""
    policy: str = "rain-nano"
    """A checkpoint's folder or the name of a shipped one; expert, omy-expert;
    replay:FILE_OR_FOLDER; a served one: openpi:ws://HOST:PORT, groot:tcp://HOST:PORT,
    lerobot:ws://HOST:PORT (docs/policies.md)."""
    policy_process: int = 0
    """0: a policy in each worker. n: one process has the policy and answers up to n workers in one
    batch, as pays on a GPU. Batches of another n are rounded differently."""
    device: str = "cpu"
    """Where the network is: cpu or cuda."""
    ray: bool = False
    """Workers are tasks of a Ray cluster; needs the extra ray, and --out on a disk all share for
    videos."""
    ray_address: str | None = None
    """Address of the cluster; default: the one this machine belongs to, else a local one."""

    def campaign(self, launch: Launch = launch_process) -> Campaign:
        """The same as the bench room's words."""
        policies = policy_source(self.policy, PolicyOptions(self.threads, self.device))
        suite = self.suite.replace("/", "-").replace(",", "+")
        folder = Path("runs/bench") / f"{policies.name.replace('/', '-')}-{suite}"
        campaign = self.campaign_of(policies, self.suite, self.tasks, folder)
        return replace(campaign, policy_process=self.policy_process, launch=launch)


def run_run(command: Run) -> int:
    """Run, print the table, and say where things are; 1 where an episode crashed."""
    if not command.ray:
        return 1 if run_campaign(command.campaign(), Console()) else 0
    if command.policy_process:
        raise RainError("--policy-process is of this machine: with --ray each worker has a policy")
    from rain.bench.cluster import cluster

    with cluster(command.ray_address, command.threads, command.device) as launch:
        return 1 if run_campaign(command.campaign(launch), Console()) else 0
