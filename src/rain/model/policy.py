"""RainPolicy: a checkpoint behind the ``Policy`` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rain.model.checkpoint import CONFIG, Checkpoint, load_checkpoint
from rain.model.flow import draw_noise
from rain.types import (
    ACTION_TYPES,
    ActionChunk,
    Observation,
    Plan,
    Prediction,
    Progress,
    RainError,
)

SHIPPED = Path(__file__).resolve().parent.parent / "checkpoints"
"""Where the package keeps the checkpoints it comes with."""


class RainPolicy:
    """Predict from observations in the checkpoint's conventions.

    The sampler's noise comes from one generator, drawn observation by observation: the same seed
    and observations give the same predictions, however they are put into batches.
    A network without plan tokens has no plan to give: its waypoints are the training mean.
    """

    def __init__(self, checkpoint: Checkpoint, seed: int = 0) -> None:
        self.conventions = checkpoint.conventions
        self._net = checkpoint.net.eval()
        self._normaliser = checkpoint.normaliser
        self._device = next(self._net.parameters()).device
        self._generator = torch.Generator().manual_seed(seed)

    @classmethod
    def load(
        cls, path: str | Path, device: torch.device | str = "cpu", seed: int = 0
    ) -> RainPolicy:
        """Load a checkpoint folder, or one that the package ships, by its name."""
        return cls(load_checkpoint(find_checkpoint(path), device), seed)

    def reset(self, seed: int) -> None:
        """Start the sampler's noise again from ``seed``, e.g. at the start of an episode."""
        self._generator.manual_seed(seed)

    def predict(self, observation: Observation) -> Prediction:
        """Predict actions, plan and progress for one observation."""
        return self.predict_batch([observation])[0]

    def predict_batch(self, observations: Sequence[Observation]) -> list[Prediction]:
        """Predict for several observations at once, in their order."""
        return predict_together([self] * len(observations), observations)

    def _images(self, observations: Sequence[Observation]) -> Tensor:
        views = self.conventions.views
        stacked = np.stack([[o.images[view] for view in views] for o in observations])
        return torch.from_numpy(stacked).to(self._device)

    def _regions(self, observations: Sequence[Observation]) -> Tensor:
        size = self.conventions.image_size
        regions = np.zeros((len(observations), len(self.conventions.views), size, size), np.float32)
        for i, observation in enumerate(observations):
            for v, view in enumerate(self.conventions.views):
                if view in observation.regions:
                    regions[i, v] = observation.regions[view]
        return torch.from_numpy(regions).to(self._device)

    def _noise(self) -> tuple[Tensor, Tensor]:
        return draw_noise(1, self._generator, self._device)


@torch.inference_mode()
def predict_together(
    policies: Sequence[RainPolicy], observations: Sequence[Observation], size: int = 0
) -> list[Prediction]:
    """Predict for one observation of each policy in one batch; they share one network.

    Each policy's noise comes from its own generator, as if it were asked alone. size: rows of the
    batch; missing ones are filled up with the last observation. A batch of another size is rounded
    differently, so only results of one size compare to the bit.
    """
    if not observations:
        return []
    first = policies[0]
    if any(policy._net is not first._net for policy in policies):
        raise ValueError("policies that predict together need one network")
    for policy, observation in zip(policies, observations, strict=True):
        policy.conventions.check_observation(observation)
    noise = [policy._noise() for policy in policies]
    missing = max(0, size - len(observations))
    rows = [*observations, *([observations[-1]] * missing)]
    noise += [noise[-1]] * missing
    images, regions = first._images(rows), first._regions(rows)
    states = torch.from_numpy(np.stack([observation.state for observation in rows]))
    state = first._normaliser.state(states).to(first._device)
    types = [ACTION_TYPES.index(observation.action_type) for observation in rows]
    action_type = torch.tensor(types, device=first._device)
    net = first._net
    phi = net.encode(net.features(images, regions), regions)
    drawn = torch.cat([plan for plan, _ in noise]), torch.cat([actions for _, actions in noise])
    plans, actions = net.sample(phi, state, action_type, noise=drawn)
    progress = net.progress(phi, state, action_type).sigmoid().cpu()
    plans = first._normaliser.undo_plan(plans.float().cpu())
    actions = first._normaliser.undo_actions(actions.float().cpu())
    asked = slice(len(observations))
    return [
        Prediction(ActionChunk(a.numpy()), Plan(p.numpy()), Progress(*s.tolist()))
        for a, p, s in zip(actions[asked], plans[asked], progress[asked], strict=True)
    ]


def find_checkpoint(path: str | Path) -> Path:
    """Return the folder of a checkpoint given by path or by the name of a shipped one."""
    folder = Path(path)
    if folder.is_dir():
        return folder
    shipped = sorted(p.parent.name for p in SHIPPED.glob(f"*/{CONFIG}"))
    if str(path) in shipped:
        return SHIPPED / str(path)
    names = ", ".join(shipped) if shipped else "none"
    raise RainError(f"no checkpoint {str(path)!r}: not a folder, and not one shipped ({names})")
