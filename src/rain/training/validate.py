"""Errors on held-out episodes, in units one can picture."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from rain.model.net import RainNet
from rain.training.data import TrainingData, tensors
from rain.training.losses import encode
from rain.types import ACTION_TYPES

THRESHOLD = 0.7
"""Completion probability at which a rollout moves on (paper, section 4)."""

_CHUNK = 64


def shortfall(row: Mapping[str, float | int | str]) -> float:
    """Say by one number how far a validation is from perfect; OUT/best has the least.

    Stage 1: the actions' error, since actions are what a robot executes. Stage 2: frames whose
    completion is told wrongly. Infinite where the row does not say.
    """
    value = row.get("action_error" if int(row["stage"]) == 1 else "progress_accuracy", "")
    if value == "":
        return math.inf
    return float(value) if int(row["stage"]) == 1 else 1 - float(value)


def choose(data: TrainingData, count: int) -> NDArray[np.int64]:
    """Choose at most ``count`` held-out samples, spread evenly; the same at every validation."""
    held = data.held
    if len(held) <= count:
        return held
    return held[np.linspace(0, len(held) - 1, count).astype(np.int64)]


@torch.inference_mode()
def validate(
    net: RainNet, data: TrainingData, index: NDArray[np.int64], stage: int, device: torch.device
) -> dict[str, float]:
    """Compare predictions with held-out samples: plan and actions, after stage 1 progress too.

    action_error: mean absolute error of motions in units of their standard deviation.
    gripper_accuracy: share of gripper commands on the right side. plan_mm, final_mm: mean distance
    of all waypoints and of the last, on frames not yet completed. completed_found and
    false_alarms: shares of completed and of other frames with completion above 0.7.
    """
    if len(index) == 0:
        return {}
    net.eval()
    plans, actions, scores = [], [], []
    for part in np.split(index, range(_CHUNK, len(index), _CHUNK)):
        plan, action, score = _predict(net, data, part, device)
        plans.append(plan)
        actions.append(action)
        scores.append(score)
    net.train()
    metrics: dict[str, float] = {"samples": len(index)}
    metrics |= _imitation(data, index, np.concatenate(plans), np.concatenate(actions))
    if stage == 2:
        metrics |= _progress(data.samples.progress[index], np.concatenate(scores))
    return metrics


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
    error = np.abs(actions - data.scaled.actions[index])[..., :-1]
    grip = data.normaliser.undo_actions(actions)[..., -1]
    right = np.sign(grip) == np.sign(data.samples.actions[index][..., -1])
    metrics = {
        "action_error": float(error.mean()),
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
    if completed.any():
        metrics["completed_found"] = float(said[completed].mean())
    if not completed.all():
        metrics["false_alarms"] = float(said[~completed].mean())
    return metrics
