"""Errors on held-out episodes, in units one can picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rain.demos.lerobot.schema import action_names
from rain.model.net import RainNet
from rain.training.data import TrainingData, tensors
from rain.training.losses import encode
from rain.training.measures import area_under_roc, transitions
from rain.types import ACTION_TYPES

THRESHOLD = 0.7
"""Completion probability at which a rollout moves on (paper, section 4)."""

_CHUNK = 64


def shortfall(row: Mapping[str, float | int | str]) -> float:
    """Say by one number how far a validation is from perfect; OUT/best has the least.

    Stage 1: the actions' error, since actions are what a robot executes. Stage 2: the area
    above the ROC curve of completion. Infinite where the row does not say.
    """
    value = row.get("action_error" if int(row["stage"]) == 1 else "progress_auc", "")
    if value == "":
        return math.inf
    return float(value) if int(row["stage"]) == 1 else 1 - float(value)


@dataclass(frozen=True)
class Held:
    """The held-out samples that validations look at, the same at each: sample numbers, int64.

    spread: evenly over all of them. spans: of whole subtasks, each in order of time.
    """

    spread: NDArray[np.int64]
    spans: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.spread)


def choose(data: TrainingData, count: int) -> Held:
    """Choose at most ``count`` held-out samples for either; one whole subtask at least."""
    held = data.held
    spread = held
    if len(held) > count:
        spread = held[np.linspace(0, len(held) - 1, count).astype(np.int64)]
    return Held(spread, held[whole_spans(data.samples.span[held], count)])


def whole_spans(span: NDArray, count: int) -> NDArray[np.int64]:
    """Choose as many subtasks as have ``count`` samples together, evenly: places in span (n,)."""
    if len(span) == 0:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, np.diff(span) != 0])
    sizes = np.diff(np.r_[starts, len(span)])
    # Evenly spread choices are not nested: more subtasks may be fewer samples.
    for number in range(len(starts), 0, -1):
        chosen = np.linspace(0, len(starts) - 1, number).round().astype(np.int64)
        if sizes[chosen].sum() <= count:
            break
    return np.concatenate([np.arange(starts[i], starts[i] + sizes[i]) for i in chosen])


@torch.inference_mode()
def validate(
    net: RainNet, data: TrainingData, held: Held, stage: int, device: torch.device
) -> dict[str, float]:
    """Compare predictions with held-out samples: plan and actions, after stage 1 progress too.

    action_error: mean absolute error of motions in units of their standard deviation;
    action_error_NAME: of one dimension, the gripper too. gripper_accuracy: share of gripper
    commands on the right side. plan_mm, final_mm: mean distance of all waypoints and of the last,
    on frames not yet completed. progress_auc: area under the ROC curve of completion.
    completed_found and false_alarms: shares of completed and of other frames with completion above
    0.7. transition_*: see ``rain.training.measures``, over whole subtasks.
    """
    index = held.spread
    if len(index) == 0:
        return {}
    net.eval()
    predicted = [_predict(net, data, part, device) for part in _parts(index)]
    plans, actions, scores = (np.concatenate(values) for values in zip(*predicted, strict=True))
    metrics: dict[str, float] = {"samples": len(index)}
    metrics |= _imitation(data, index, plans, actions)
    if stage == 2:
        metrics |= _progress(data.samples.progress[index], scores)
        metrics |= _transitions(net, data, held.spans, device)
    net.train()
    return metrics


def _parts(index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(index, range(_CHUNK, len(index), _CHUNK))


def _predict(
    net: RainNet, data: TrainingData, index: NDArray[np.int64], device: torch.device
) -> tuple[NDArray, NDArray, NDArray]:
    batch = tensors(data.held_batch(index), device)
    state, kind = batch["state"], batch["action_type"]
    phi = encode(net, batch["images"], batch["features"], batch["regions"])
    generator = torch.Generator().manual_seed(int(index[0]))
    plan, actions = net.sample(phi, state, kind, generator=generator)
    score = net.progress(phi, state, kind).sigmoid()
    return plan.float().cpu().numpy(), actions.float().cpu().numpy(), score.float().cpu().numpy()


def _imitation(
    data: TrainingData, index: NDArray[np.int64], plans: NDArray, actions: NDArray
) -> dict[str, float]:
    keep = data.samples.imitate[index] & ~data.samples.completed[index]
    if not keep.any():
        return {}
    index, plans, actions = index[keep], plans[keep], actions[keep]
    truth = data.samples.plan[index]
    away = 1000 * np.linalg.norm(data.normaliser.undo_plan(plans) - truth, axis=-1)
    error = np.abs(actions - data.scaled.actions[index])
    grip = data.normaliser.undo_actions(actions)[..., -1]
    right = np.sign(grip) == np.sign(data.samples.actions[index][..., -1])
    names = action_names(data.dataset.conventions.action)
    metrics = {
        "action_error": float(error[..., :-1].mean()),
        **{
            f"action_error_{name}": float(value)
            for name, value in zip(names, error.mean(axis=(0, 1)), strict=True)
        },
        "gripper_accuracy": float(right.mean()),
        "plan_mm": float(away.mean()),
        "final_mm": float(away[:, -1].mean()),
    }
    for number, name in enumerate(ACTION_TYPES):
        of_type = data.samples.action_type[index] == number
        if of_type.any():
            metrics[f"final_mm_{name}"] = float(away[of_type, -1].mean())
    return metrics


def _progress(truth: NDArray, scores: NDArray) -> dict[str, float]:
    completed, said = truth[:, 0] > 0.5, scores[:, 0] > THRESHOLD
    metrics = {
        "progress_accuracy": float((completed == said).mean()),
        "distance_error": float(np.abs(scores[:, 1] - truth[:, 1]).mean()),
        "alignment_error": float(np.abs(scores[:, 2] - truth[:, 2]).mean()),
    }
    area = area_under_roc(scores[:, 0], completed)
    if area is not None:
        metrics["progress_auc"] = area
    if completed.any():
        metrics["completed_found"] = float(said[completed].mean())
    if not completed.all():
        metrics["false_alarms"] = float(said[~completed].mean())
    return metrics


def _transitions(
    net: RainNet, data: TrainingData, index: NDArray[np.int64], device: torch.device
) -> dict[str, float]:
    """Ask the progress head alone, which is far cheaper than to generate actions."""
    scores = []
    for part in _parts(index):
        batch = tensors(data.held_batch(part), device)
        phi = encode(net, batch["images"], batch["features"], batch["regions"])
        logits = net.progress(phi, batch["state"], batch["action_type"])[:, 0]
        scores.append(logits.sigmoid().float().cpu().numpy())
    samples = data.samples.take(index)
    said = np.concatenate(scores) > THRESHOLD
    return transitions(samples.span, samples.step, samples.completed, said).metrics()
