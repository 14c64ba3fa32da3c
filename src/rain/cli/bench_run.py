"""``rain bench run``: any policy on any suite, scored as in the paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.episode import RolloutConfig
from rain.bench.policies import PolicyOptions, policy_source
from rain.bench.protocols import PolicySource
from rain.bench.records import Target
from rain.bench.runner import Launch, launch_process
from rain.bench.sources import LiberoWorlds, Rendering
from rain.bench.trials import Starts
from rain.bench.worker import Film
from rain.types import RainError


@dataclass(frozen=True)
class Run:
    """Run a policy, record every episode and score it as the paper does.

    A kill at any point loses at most the episodes that were at work; the same command goes on.
    """

    suite: str = "libero-ex"
    """libero-ex; libero_spatial, libero_object, libero_goal, libero_10, libero_90, or all-libero;
    one of LIBERO-PRO's (libero_object_swap …), or libero-pro for its four axes. Several with
    commas."""
    tasks: str = "all"
    """Task number, several (0,2,5) or all, of each suite; of libero-ex ids (040)."""
    policy: str = "rain-nano"
    """A checkpoint's folder or the name of a shipped one; expert; replay:FILE_OR_FOLDER; a served
    one: openpi:ws://HOST:PORT, groot:tcp://HOST:PORT, lerobot:ws://HOST:PORT (docs/policies.md)."""
    episodes: int = 10
    """Episodes of each task; episode i starts from init state i."""
    starts: Starts = "official"
    """official init states (for evaluation only), those for development that libero-ex has beside
    them, or fresh resets of the same regions."""
    target: Target = "own"
    """own: the task. another: region following, success is the marked object in its place."""
    workers: int = 1
    """Processes with one simulator each."""
    policy_process: int = 0
    """0: a policy in each worker. n: one process has the policy and answers up to n workers in one
    batch, as pays on a GPU. Batches of another n are rounded differently."""
    device: str = "cpu"
    """Where the network is: cpu or cuda."""
    threads: int = 1
    """CPU threads of the network and of the software renderer, in each process."""
    out: Path | None = None
    """Folder of episodes.jsonl, summary.json and videos; default runs/bench/POLICY-SUITE."""
    video: Film = "none"
    """Film no episode, the first of each task, or all."""
    rendering: Rendering = "fast"
    """fast: without reflections; official: as LIBERO renders."""
    seed: int = 0
    """Seed of the policy's noise."""
    horizon: int | None = None
    """Control steps an episode may take; default: what the task declares or is usual for it."""
    execute: int | None = None
    """Actions of a chunk that are executed before the next look; default: 8 of RAIN's 16, of a
    served policy what its conventions say."""
    threshold: float = 0.7
    """Completion above which a subtask counts as complete."""
    consecutive: int = 2
    """Looks in a row above the threshold that move to the next subtask."""
    ray: bool = False
    """Workers are tasks of a Ray cluster; needs the extra ray, and --out on a disk all share for
    videos."""
    ray_address: str | None = None
    """Address of the cluster; default: the one this machine belongs to, else a local one."""

    def campaign(self, launch: Launch = launch_process) -> Campaign:
        """The same as the bench room's words."""
        policies = policy_source(self.policy, PolicyOptions(self.threads, self.device))
        suite = self.suite.replace("/", "-")
        short = policies.name.replace("/", "-")
        folder = self.out or Path("runs/bench") / f"{short}-{suite.replace(',', '+')}"
        return Campaign(
            policies=policies,
            worlds=LiberoWorlds(self.rendering, self.threads),
            suite=self.suite,
            tasks=self.tasks,
            episodes=self.episodes,
            folder=folder.resolve(),
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
            policy_process=self.policy_process,
            launch=launch,
        )


def _executed(asked: int | None, policies: PolicySource) -> int:
    """Actions executed between looks; RainError where the policy itself says another number."""
    own = getattr(policies, "execute", None)
    if asked is not None and own not in (None, asked):
        raise RainError(
            f"--execute {asked}: the policy's own number is {own}; its address takes "
            f"?execute={asked}"
        )
    return asked or own or RolloutConfig.execute


def run_run(command: Run) -> int:
    """Run, print the table, and say where things are; 1 where an episode crashed."""
    if not command.ray:
        return 1 if run_campaign(command.campaign(), Console()) else 0
    if command.policy_process:
        raise RainError("--policy-process is of this machine: with --ray each worker has a policy")
    from rain.bench.cluster import cluster

    with cluster(command.ray_address, command.threads, command.device) as launch:
        return 1 if run_campaign(command.campaign(launch), Console()) else 0
