"""``rain dashboard``: the operator's page for a simulated world or a recording; the causal test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from rain.bench.episode import RolloutConfig
from rain.bench.omy import worlds_of
from rain.bench.policies import PolicyOptions, policy_source
from rain.bench.protocols import PolicySource, TaskWorld
from rain.bench.sources import Rendering
from rain.cli.dashboard_options import PageOptions
from rain.dashboard.episodes import Begun, Starts, run_episodes
from rain.dashboard.rollout_session import RolloutOptions, RolloutSession
from rain.perception.options import PerceptionOptions, SegmenterName
from rain.perception.world import PerceivedWorlds

OMY = "omy"


@dataclass(frozen=True)
class Dashboard:
    """Serve the operator's page: see what the policy sees, and change its mind with one click.

    ``rain dashboard causal-test`` clicks through the candidates of a scene in a real browser.
    """

    world: Literal["libero", "omy"] = "libero"
    """LIBERO, or the simulated OMY-F3M."""
    suite: str = "libero_object"
    """Of LIBERO's."""
    task: int = 0
    """Task number."""
    checkpoint: str | None = None
    """A checkpoint folder, a shipped one's name, or another policy (docs/policies.md); default:
    rain-nano in LIBERO, omy-regions (a rule, no network) for the arm."""
    episode: int = 0
    """The first episode; others are begun from the page."""
    starts: Starts = "fresh"
    """Episode n begins from a fresh reset with seed n, or from official init state n."""
    paused: bool = False
    """Episodes begin paused."""
    horizon: int = 2000
    """Control steps an episode may take."""
    replay: Path | None = None
    """Show a recorded episode of this dataset instead; --episode says which."""
    rendering: Rendering = "fast"
    """fast: without reflections; official: as LIBERO renders."""
    threads: int = 1
    """CPU threads of the network and of the software renderer."""
    segmenter: SegmenterName = "truth"
    """Where regions come from, and what a click means: the simulator's own, or a tracker."""
    perception: PerceptionOptions = field(default_factory=PerceptionOptions)
    """How targets are followed; --perception.vlm reads instructions."""
    page: tyro.conf.OmitArgPrefixes[PageOptions] = field(default_factory=PageOptions)

    def policies(self) -> PolicySource:
        """Where the policy comes from."""
        return default_policies(self.world, self.checkpoint, self.threads)

    def open(self, policies: PolicySource) -> TaskWorld:
        """The world, in the policy's conventions."""
        suite = OMY if self.world == OMY else self.suite.replace("-", "_")
        worlds = worlds_of(suite, self.rendering, self.threads)
        asked = policies(0).conventions
        if self.segmenter == "truth" and self.perception == PerceptionOptions():
            return worlds(suite, self.task, asked.image_size, asked.views)
        perceived = PerceivedWorlds(worlds, self.segmenter, self.perception)
        return perceived(suite, self.task, asked.image_size, asked.views)


def default_policies(world: str, checkpoint: str | None, threads: int) -> PolicySource:
    """The policy that was asked for, or the usual one of a world."""
    return policy_source(
        checkpoint or ("omy-regions" if world == OMY else "rain-nano"), PolicyOptions(threads)
    )


def main(args: list[str]) -> int:
    """Run ``rain dashboard``."""
    if args[:1] == ["causal-test"]:
        from rain.cli.dashboard_causal import run

        return run(args[1:])
    options = tyro.cli(Dashboard, args=args, prog="rain dashboard")
    return _replay(options, options.replay) if options.replay else _roll(options)


def _roll(options: Dashboard) -> int:
    page, console = options.page, Console(highlight=False)
    page.token()
    shown = RolloutOptions(page.pixels, page.every, page.speed, options.paused)
    how = Begun(options.starts, RolloutConfig(horizon=options.horizon))
    policies = options.policies()
    world = options.open(policies)
    try:
        title = f"{'OMY-F3M' if options.world == OMY else options.suite} {options.task}"
        session = RolloutSession(f"{title} · {policies.name}", shown)
        with page.served(session) as address:
            console.print(f"{session.about['title']} at {address}", markup=False, soft_wrap=True)
            run_episodes(session, world, policies, how, options.episode)
    finally:
        world.close()
    return 0


def _replay(options: Dashboard, folder: Path) -> int:
    from rain.cli.demos_view import open_scene
    from rain.dashboard.replay import ReplaySession
    from rain.demos.dataset import Dataset
    from rain.demos.view import scene_projection

    page, console = options.page, Console(highlight=False)
    page.token()
    dataset = Dataset.open(folder)
    ReplaySession.check(dataset, options.episode)
    world = open_scene(dataset, options.episode, "plan", console)
    try:
        project = scene_projection(world) if world is not None else None
        session = ReplaySession(dataset, options.episode, project)
        with page.served(session) as address:
            console.print(f"{session.about['title']} at {address}", markup=False, soft_wrap=True)
            session.run()
    finally:
        if world is not None:
            world.close()
    return 0
