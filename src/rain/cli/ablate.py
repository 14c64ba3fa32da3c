"""``rain ablate``: train a named set of variants alike, evaluate them, and write one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from rain.bench import comparison
from rain.bench.comparison_files import write_comparison
from rain.bench.evaluation import Evaluation
from rain.bench.records import Target
from rain.bench.sources import CheckpointPolicies
from rain.bench.trials import Starts
from rain.cli.train import defaults
from rain.training.ablation import (
    Arm,
    check_ablation,
    held_out_metrics,
    is_finished,
    main_process,
    plan_ablation,
    train_ablation,
)
from rain.training.config import TrainConfig
from rain.training.run import RunFolder
from rain.training.variants import choose_variants
from rain.types import RainError


@dataclass(frozen=True)
class Ablate:
    """Train variants of one configuration with the same data, seeds and budget, and compare them.

    Takes every option of `rain train`, which together are the full model; OUT/VARIANT/seed-N are
    ordinary runs. Ctrl-C saves and stops; the same command goes on.
    """

    train: Annotated[TrainConfig, tyro.conf.arg(name="")]
    set: str = "table-2"
    """table-2, or one of its panels: table-2a, table-2b, table-2c, table-2d."""
    only: tuple[str, ...] = ()
    """These variants of the set, beside the full model."""
    seeds: tuple[int, ...] = ()
    """Seeds of each variant; by default --seed alone. Differences are told from noise by more."""
    evaluate: tuple[str, ...] = ()
    """Suites to run every finished variant on; none by default."""
    tasks: str = "all"
    """Evaluation: task number, several (0,2,5) or all."""
    episodes: int = 10
    """Evaluation: episodes of each task, with the same starts for all."""
    starts: Starts = "fresh"
    """Evaluation: fresh resets, or official init states. Choose by the former, report the latter:
    what is chosen by an evaluation's starts is no longer judged by them."""
    targets: tuple[Target, ...] = ("own",)
    """Evaluation: own, the task; another, region following."""
    workers: int = 1
    """Evaluation: processes with one simulator each."""

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """--seeds, or --seed alone; RainError where both are given."""
        if self.seeds and self.train.seed not in (0, *self.seeds):
            raise RainError("give --seeds or --seed, not both")
        return self.seeds or (self.train.seed,)

    def evaluation(self) -> Evaluation | None:
        """The episodes of every variant, checked, or None."""
        if not self.evaluate:
            return None
        found = Evaluation(
            self.evaluate, self.tasks, self.episodes, self.targets, self.starts, self.workers
        )
        found.check()
        return found


def main(args: list[str]) -> int:
    """Run ``rain ablate``. Exit code 1 where a run failed or an episode crashed."""
    asked = parse(args)
    console = Console(stderr=True, quiet=not main_process())
    arms = plan_ablation(asked.train, choose_variants(asked.set, asked.only), asked.all_seeds)
    evaluation = asked.evaluation()
    fingerprint = check_ablation(arms)
    ended = train_ablation(arms, fingerprint, lambda text: console.print(text, markup=False))
    if not main_process():
        return 0
    crashed = 0
    try:
        if evaluation is not None and ended.finished:
            crashed = _evaluate(arms, evaluation, console)
    finally:
        # Also after Ctrl-C: of what is there.
        about = _about(asked, fingerprint)
        print(write_comparison(asked.train.out, results(arms, ended.failed, evaluation), about))
    if not ended.finished:
        print("stopped; the same command continues")
        if asked.train.stop_after_minutes is None:
            raise KeyboardInterrupt
    return 1 if ended.failed or crashed else 0


def parse(args: list[str]) -> Ablate:
    """Read the options; the preset named among them decides the defaults of training."""
    return tyro.cli(Ablate, prog="rain ablate", args=args, default=Ablate(defaults(args)))


def results(
    arms: Sequence[Arm], failed: Mapping[Path, str], evaluation: Evaluation | None
) -> list[comparison.Arm]:
    """What the runs' folders hold, as the bench room's words."""
    found = []
    for arm in arms:
        done = {seed: config for seed, config in arm.runs.items() if is_finished(config)}
        values: dict[str, dict[int, float]] = {}
        episodes: dict[str, dict[int, Any]] = {}
        for seed, config in done.items():
            for name, value in held_out_metrics(config).items():
                values.setdefault(name, {})[seed] = value
            if evaluation is not None:
                for target, outcomes in evaluation.recorded(*_rollouts(config)).items():
                    episodes.setdefault(target, {})[seed] = outcomes
        variant = arm.variant
        found.append(
            comparison.Arm(
                name=variant.name,
                title=variant.title,
                panel=variant.panel,
                changes=arm.changes,
                paper=variant.paper,
                same_as=arm.same_as,
                seeds=tuple(arm.runs),
                finished=tuple(done),
                values=values,
                episodes=episodes,
                failed={s: failed[c.out] for s, c in arm.runs.items() if c.out in failed},
            )
        )
    return found


def _rollouts(config: TrainConfig) -> tuple[CheckpointPolicies, Path]:
    """A run's policies and the folder of their episodes."""
    return CheckpointPolicies(str(RunFolder(config).checkpoint)), config.out / "rollouts"


def _evaluate(arms: Sequence[Arm], evaluation: Evaluation, console: Console) -> int:
    """Run the episodes of every finished run; returns how many crashed."""
    crashed = 0
    for arm in arms:
        for config in arm.runs.values():
            if arm.same_as is None and is_finished(config):
                console.print(f"evaluating {config.out}", markup=False)
                crashed += evaluation.run(*_rollouts(config), console)
    return crashed


def _about(asked: Ablate, fingerprint: str) -> dict[str, Any]:
    """What the table says of the whole."""
    config = asked.train
    stages = [
        f"stage {number}: {stage.steps} steps of {stage.batch}"
        for number, stage in ((1, config.stage1), (2, config.stage2))
    ]
    about = {
        "set": asked.set,
        "preset": config.preset,
        "data": f"{', '.join(map(str, config.data))} ({fingerprint})",
        "budget of each run": "; ".join(stages),
        "seeds": ", ".join(map(str, asked.all_seeds)),
    }
    if asked.evaluate:
        about["evaluation"] = (
            f"{', '.join(asked.evaluate)}, tasks {asked.tasks}, {asked.episodes} episodes each, "
            f"{asked.starts} starts, target {' and '.join(asked.targets)}"
        )
    return about
