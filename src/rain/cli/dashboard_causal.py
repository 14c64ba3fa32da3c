"""``rain dashboard causal-test``: another region, another target, and nothing else changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from rain.bench.episode import RolloutConfig
from rain.bench.omy import worlds_of
from rain.bench.sources import Rendering
from rain.cli.dashboard import OMY, default_policies
from rain.dashboard.browser import find_chromium
from rain.dashboard.causal import CausalConfig, CausalTrial, Scene, causal_test
from rain.dashboard.causal_report import write
from rain.types import RainError


@dataclass(frozen=True)
class CausalTest:
    """Click every candidate of a scene on the real page, in a real browser, and count which are
    reached. Scene, checkpoint, subtask and noise are the same each time."""

    world: Literal["libero", "omy"] = "libero"
    """LIBERO, or the simulated OMY-F3M."""
    suite: str = "libero_object"
    """Of LIBERO's."""
    task: int = 0
    """Task number."""
    checkpoint: str | None = None
    """As of ``rain dashboard``."""
    subtask: int = 0
    """Which subtask is retargeted, from 0: a grasp (any object is clicked) or a release (any
    place)."""
    scenes: int = 1
    """Init states that are clicked through."""
    first: int = 0
    """The first of them."""
    horizon: int = 320
    """Control steps a trial may take."""
    rendering: Rendering = "fast"
    """fast: without reflections; official: as LIBERO renders."""
    threads: int = 1
    """CPU threads of the network and of the software renderer."""
    out: Path = Path("runs/causal")
    """Folder of causal.json, causal.png and the audit log."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.first < 0 or self.horizon < 1:
            raise RainError("--scenes and --horizon must be at least 1, --first at least 0")


def run(args: list[str]) -> int:
    """Run ``rain dashboard causal-test``."""
    options = tyro.cli(CausalTest, args=args, prog="rain dashboard causal-test")
    if find_chromium() is None:
        raise RainError("the causal test needs a browser: apt-get install chromium")
    console = Console(highlight=False)
    policies = default_policies(options.world, options.checkpoint, options.threads)
    suite = OMY if options.world == OMY else options.suite.replace("-", "_")
    asked = policies(0).conventions
    before = policies.fingerprint()
    world = worlds_of(suite, options.rendering, options.threads)(
        suite, options.task, asked.image_size, asked.views
    )
    config = CausalConfig(
        options.subtask, options.scenes, options.first,
        rollout=RolloutConfig(horizon=options.horizon), out=options.out,
    )  # fmt: skip
    found: list[tuple[CausalTrial, Scene]] = []
    try:
        for trial, scene in causal_test(world, policies, config):
            found.append((trial, scene))
            verdict = "hit" if trial.hit else f"missed: reached {trial.reached or 'nothing'}"
            console.print(
                f"scene {trial.scene}: clicked {trial.clicked} in {trial.view}, page asked "
                f"“{trial.shown}”: {verdict} ({trial.steps} steps)", soft_wrap=True,
            )  # fmt: skip
        about = {
            "suite": suite, "task": options.task, "instruction": world.script.instruction,
            "subtask": options.subtask, "policy": policies.name, "fingerprint": before,
            "fingerprint_after": policies.fingerprint(),
            "conventions": asdict(world.conventions),
        }  # fmt: skip
        figures, picture = write(options.out, found, **about)
    finally:
        world.close()
    hits = sum(trial.hit for trial, _ in found)
    console.print(f"{hits} of {len(found)} clicks obeyed; {figures}, {picture}", soft_wrap=True)
    return 0
