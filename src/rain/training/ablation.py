"""Training every variant of an ablation with the same data, seeds and budget.

Each variant and seed is an ordinary run folder, OUT/VARIANT/seed-N, so that the same command goes
on where it was stopped. Two variants of one configuration are trained once. Variants that differ in
the progress head's losses alone have one stage 1, bit for bit, so it is copied and not repeated.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rain.demos.dataset import Dataset
from rain.demos.retargeting import controller_of
from rain.demos.sampler import check_batch
from rain.model.checkpoint import CONFIG
from rain.training.config import TrainConfig
from rain.training.data import check_conventions
from rain.training.logs import read_rows
from rain.training.loop import train
from rain.training.run import RunFolder
from rain.training.variants import FULL, Variant
from rain.types import RainError

_HEAD_LOSSES = ("dist", "align", "comp")


@dataclass(frozen=True)
class Arm:
    """A variant and its runs.

    changes: settings that differ from the full model's, ``name before → after``. same_as: name of
    an earlier arm of the same configuration, whose runs these are. runs: by seed.
    """

    variant: Variant
    changes: tuple[str, ...]
    same_as: str | None
    runs: Mapping[int, TrainConfig]


@dataclass(frozen=True)
class Ended:
    """How a sitting ended. finished: all runs that can be are trained. failed: why, by folder."""

    finished: bool
    failed: Mapping[Path, str]


def plan_ablation(
    full: TrainConfig, variants: Sequence[Variant], seeds: Sequence[int]
) -> list[Arm]:
    """Lay out the runs, the full model first; ``full.out`` is the folder of all of them.

    Raises RainError, before anything is written, where a variant does not apply to the full model.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise RainError(f"seeds: name at least one and each once, got {list(seeds)}")
    arms: list[Arm] = []
    identities: dict[str, dict[str, Any]] = {}
    before = _flat(full.identity())
    for variant in (FULL, *variants):
        config = variant.of(full)
        identity = config.identity()
        after = _flat(identity)
        changes = tuple(
            f"{name} {_shown(before[name])} → {_shown(after[name])}"
            for name in before
            if before[name] != after[name]
        )
        if full.init is not None and config.model != full.model:
            raise RainError(
                f"variant {variant.name} is another network than the checkpoint of --init: "
                "leave --init out, or choose other variants with --only"
            )
        same_as = next((name for name, known in identities.items() if known == identity), None)
        if same_as is None:
            identities[variant.name] = identity
        folder = full.out / (same_as or variant.name)
        runs = {seed: replace(config, seed=seed, out=folder / f"seed-{seed}") for seed in seeds}
        arms.append(Arm(variant, changes, same_as, runs))
    return arms


def check_ablation(arms: Sequence[Arm]) -> str:
    """Check every run against the data and its folder; returns the data's fingerprint.

    Raises RainError for what would stop a run before its first step, a folder that holds a run of
    another configuration included. Writes nothing.
    """
    first = next(iter(arms[0].runs.values()))
    if not first.data:
        raise RainError("--data: name at least one dataset folder")
    dataset = Dataset.open(first.data)
    fingerprint = dataset.fingerprint()
    for arm in arms:
        for config in arm.runs.values():
            check_conventions(config, dataset)
            if config.retarget.on:
                controller_of(dataset.conventions)
            for stage in (config.stage1, config.stage2):
                if stage.steps > 0:
                    check_batch(stage.batch, config.sampler.group, _environment("WORLD_SIZE", 1))
            RunFolder(config).check(fingerprint)
    return fingerprint


def train_ablation(
    arms: Sequence[Arm], fingerprint: str, tell: Callable[[str], None] = print
) -> Ended:
    """Train what is not finished, all variants of the first seed first.

    A run that fails with a RainError is noted, and the others go on. Ctrl-C, SIGTERM or
    ``stop_after_minutes``, which counts for all runs together, end the sitting with
    ``finished`` False; the same call goes on.
    """
    runs = list(_runs(arms))
    began = time.monotonic()
    failed: dict[Path, str] = {}
    for number, (arm, config) in enumerate(runs, start=1):
        if is_finished(config):
            continue
        tell(f"{number} of {len(runs)}: {arm.variant.title} ({arm.variant.name}), {config.out}")
        if main_process():
            _share_stage1(config, [other for _, other in runs], fingerprint)
        limit = config.stop_after_minutes
        if limit is not None:
            limit = max(0.0, limit - (time.monotonic() - began) / 60)
        config = replace(config, stop_after_minutes=limit, keep=_keep(config, runs))
        try:
            result = train(config)
        except RainError as error:
            failed[config.out] = str(error)
            tell(f"failed: {error}")
            continue
        if not result.finished:
            tell(f"stopped in stage {result.stage} after step {result.step}")
            return Ended(False, failed)
    return Ended(True, failed)


def main_process() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return _environment("RANK", 0) == 0


def is_finished(config: TrainConfig) -> bool:
    """Whether the run in ``config.out`` has a finished checkpoint."""
    try:
        text = (RunFolder(config).checkpoint / CONFIG).read_text(encoding="utf-8")
        return bool(json.loads(text)["extra"]["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def held_out_metrics(config: TrainConfig) -> dict[str, float]:
    """The last validation of a run by column, stage 2's where both stages have one.

    What is measured on the plan is left out for a network that generates none.
    """
    last = {row["stage"]: row for row in read_rows(RunFolder(config).validation)}
    found: dict[str, float] = {}
    for stage in sorted(last):
        found |= {name: float(text) for name, text in last[stage].items() if text}
    for name in list(found):
        of_plan = name.startswith(("plan_mm", "final_mm"))
        if name in ("stage", "step", "samples") or (of_plan and not config.model.plan_tokens):
            del found[name]
    return found


def _runs(arms: Sequence[Arm]) -> Iterator[tuple[Arm, TrainConfig]]:
    """Every run once, seed by seed: a table of one seed is whole before the next begins."""
    for seed in arms[0].runs:
        for arm in arms:
            if arm.same_as is None:
                yield arm, arm.runs[seed]


def _stage1(config: TrainConfig) -> dict[str, Any]:
    """What decides the result of stage 1."""
    identity = config.identity()
    del identity["stage2"]
    for name in _HEAD_LOSSES:
        del identity["weights"][name]
    return identity


def _same_stage1(config: TrainConfig, runs: Sequence[TrainConfig]) -> list[TrainConfig]:
    mine = _stage1(config)
    return [run for run in runs if _stage1(run) == mine]


def _keep(config: TrainConfig, runs: Sequence[tuple[Arm, TrainConfig]]) -> int:
    """Saved states to keep, so that the end of a stage 1 that others begin with is among them."""
    alike = _same_stage1(config, [run for _, run in runs])
    if len(alike) == 1 or alike[0].out != config.out:
        return config.keep
    return max(config.keep, 1 + math.ceil(config.stage2.steps / config.checkpoint_every))


def _share_stage1(config: TrainConfig, runs: Sequence[TrainConfig], fingerprint: str) -> None:
    """Begin a run that has not begun with the end of an equal stage 1, where one lies.

    The folder appears in one piece. The logs' rows of stage 2 are dropped as the run goes on.
    """
    if config.out.exists() or config.stage1.steps == 0:
        return
    for other in _same_stage1(config, runs):
        theirs = RunFolder(other)
        state = theirs.states / f"1-{config.stage1.steps:08d}"
        if other.out == config.out or not (state / "position.json").is_file():
            continue
        temporary = config.out.with_name(f".{config.out.name}.begun")
        shutil.rmtree(temporary, ignore_errors=True)
        copy = RunFolder(replace(config, out=temporary))
        copy.claim(fingerprint)
        shutil.copytree(state, copy.states / state.name)
        for log in ("log", "validation"):
            shutil.copy(getattr(theirs, log), getattr(copy, log))
        os.replace(temporary, config.out)
        return


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``a.b`` → value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _shown(value: Any) -> str:
    if value is None:
        return "all"
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _environment(name: str, default: int) -> int:
    """A number that torchrun gives to its processes."""
    return int(os.environ.get(name, default))
