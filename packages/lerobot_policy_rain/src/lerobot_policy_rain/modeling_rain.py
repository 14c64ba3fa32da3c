"""RAIN behind LeRobot's policy interface: the network and losses are RAIN's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.pretrained import PreTrainedPolicy
from numpy.typing import NDArray
from torch import Tensor, nn

from lerobot_policy_rain.acting import IMAGES, Actor, Shown
from lerobot_policy_rain.configuration_rain import LeRobotRainConfig
from lerobot_policy_rain.convert import is_checkpoint, load_pretrained, read_json
from lerobot_policy_rain.supervision import Drawn, Supervision, label_maps
from rain.demos.augment import augment
from rain.demos.lerobot.schema import label_key
from rain.demos.sampler import Batch
from rain.model import Checkpoint, RainNet, RainPolicy, find_checkpoint, load_checkpoint
from rain.model.checkpoint import CONFIG, WEIGHTS, save_checkpoint
from rain.model.flow import draw_flow
from rain.training.config import TrainConfig
from rain.training.data import tensors
from rain.training.losses import Imitation, ProgressEstimation
from rain.training.optim import Average
from rain.types import RainError


class LeRobotRainPolicy(PreTrainedPolicy):
    """A RAIN network that LeRobot trains, saves, loads and runs.

    Trained, it needs a dataset that ``rain demos process`` wrote (``dataset_meta`` says where):
    what its rows should teach is read from there (``supervision.py``). Acting, it needs the
    observations that ``acting.py`` describes.
    """

    config_class = LeRobotRainConfig
    name = "rain"
    config: LeRobotRainConfig

    def __init__(
        self,
        config: LeRobotRainConfig,
        dataset_stats: Any = None,
        dataset_meta: Any = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Make the policy from ``checkpoint``, ``config.init`` or afresh from a dataset.

        dataset_stats: LeRobot's; unused, because they are of frames and not of training samples.
        """
        super().__init__(config)
        self.recipe = config.recipe()
        if checkpoint is None and config.init is not None:
            checkpoint = load_checkpoint(find_checkpoint(config.init))
        if checkpoint is not None:
            self.recipe = _of_network(self.recipe, config, checkpoint)
        self._supervision: Supervision | None = None
        if dataset_meta is not None:
            root = Path(dataset_meta.root)
            self._supervision = Supervision(root, self.recipe, config.samples, config.sampler)
        if checkpoint is None:
            checkpoint = self._fresh()
        elif self._supervision is not None:
            found = self._supervision.dataset.conventions
            checkpoint.conventions.check(found, "the checkpoint", "the dataset")
        self.net = checkpoint.net
        self.normaliser, self.conventions = checkpoint.normaliser, checkpoint.conventions
        self._extra = dict(checkpoint.extra)
        # Only its own kind of training counts on: a run of rain train has stages of its own.
        same = self._extra.get("trainer") == "lerobot" and self._extra["stage"] == config.stage
        self._step = int(self._extra["step"]) if same else 0
        if self._supervision is not None:
            self._scaled = self._supervision.scaled(self.normaliser)
        stages = (1, 2) if config.stage == "both" else (int(config.stage),)
        learned = {id(p) for stage in stages for p in self.net.stage_parameters(stage)}
        for parameter in self.net.parameters():
            parameter.requires_grad_(id(parameter) in learned)
        self._average: Average | None = None
        self._actors: list[Actor] = []
        self._episodes = 0

    def _fresh(self) -> Checkpoint:
        if self._supervision is None:
            raise RainError(
                "a RAIN policy that is not trained yet needs a dataset for its statistics: train "
                "it with lerobot-train, or name a checkpoint with --policy.init or --policy.path"
            )
        normaliser = self._supervision.normaliser()
        conventions = self._supervision.dataset.conventions
        return Checkpoint(RainNet(self.recipe.model), normaliser, conventions)

    # --- training -----------------------------------------------------------------------------

    def get_optim_params(self) -> list[dict[str, Any]]:
        """Matrices, which AdamW decays, and the rest, as ``rain train`` has them."""
        learned = self._learned().values()
        groups: list[dict[str, Any]] = [
            {"params": [p for p in learned if p.ndim >= 2]},
            {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch of dataset rows, and its parts.

        batch: LeRobot's, with ``index`` (B,), images and label maps (B, 2, C, H, W), or without the
        second axis where ``pair_offset`` is 0. Stage 1 is L_PlanDiT and stage 2 L_head (eq. 6),
        each on its own draw from the rows.
        """
        if self._supervision is None:
            raise RainError("this policy was made without a dataset: it can act, not be trained")
        if self._average is None and self.recipe.ema and self.training:
            self._average = Average(self._learned(), self.recipe.ema)
        device = next(self.net.parameters()).device
        total = torch.zeros((), device=device)
        parts: dict[str, float] = {}
        for stage in ("1", "2"):
            if self.config.stage not in ("both", stage):
                continue
            drawn = self._draw(batch, stage)
            if len(drawn) == 0:
                # No row may be used: nothing to learn from in this batch.
                total = total + sum(p.sum() for p in self._learned().values()) * 0.0
                continue
            losses = self._losses(stage, self._batch(batch, drawn), device)
            total = total + losses.pop("loss")
            parts |= {name: float(value.detach()) for name, value in losses.items()}
        return total, parts

    def update(self) -> None:
        """Take the weights into the average; lerobot-train calls it after every step."""
        if self._average is not None:
            self._average.update(self._step)
        self._step += 1

    def _draw(self, batch: dict[str, Any], stage: str) -> Drawn:
        assert self._supervision is not None
        rows = batch["index"].reshape(-1).cpu().numpy()
        # LeRobot seeds torch and saves its generator's state, so a resumed run draws the same.
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        # L_head is of single frames.
        offset = self.config.pair_offset if stage == "1" else 0
        return self._supervision.draw(rows, stage, offset, rng)

    def _batch(self, batch: dict[str, Any], drawn: Drawn) -> Batch:
        assert self._supervision is not None
        views = self.conventions.views
        images = np.stack([_pixels(batch, IMAGES + v, drawn) for v in views], axis=1)
        labels = np.stack([_pixels(batch, label_key(v), drawn) for v in views], axis=1)
        made = self._supervision.batch(
            self._scaled,
            drawn,
            np.round(images.transpose(0, 1, 3, 4, 2) * 255).astype(np.uint8),
            label_maps(labels[:, :, 0]),
            1 if len(drawn) == len(batch["index"]) else 2,
        )
        seed = int(torch.randint(2**31, ()))
        return augment(made, self.recipe.augment, seed, 0)

    def _losses(self, stage: str, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        inputs = tensors(batch, device)
        weights = self.config.weights
        if stage == "1":
            del inputs["progress"]
            inputs["noise"] = draw_flow(len(batch.index), self.recipe.draws, device=device)
            return Imitation(self.net, weights, batch.group)(**inputs)
        del inputs["actions"], inputs["plan"]
        others = self.net.stage_parameters(1) if self.config.stage == "both" else []
        with _frozen(others):
            return ProgressEstimation(self.net, weights)(**inputs)

    def _learned(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.net.named_parameters() if p.requires_grad}

    # --- acting -------------------------------------------------------------------------------

    def reset(self) -> None:
        """Begin an episode in every environment, with its own noise."""
        self._actors = []
        self._episodes += 1

    def select_action(self, batch: dict[str, Any], **_: Any) -> Tensor:
        """One action for each environment, (B, 7), as ``rain rollout`` would choose it."""
        actors = self._acting(len(batch["observation.state"]))
        actions = [actor.act(batch, i) for i, actor in enumerate(actors)]
        return torch.from_numpy(np.stack(actions)).to(self.config.device)

    def predict_action_chunk(self, batch: dict[str, Any], **_: Any) -> Tensor:
        """The next 16 actions of each environment's current subtask, (B, 16, 7); executes none."""
        actors = self._acting(len(batch["observation.state"]))
        chunks = []
        for i, actor in enumerate(actors):
            shown = Shown(self.conventions)
            shown.show(batch, i)
            observation = shown.observe(shown.script.subtasks[actor.subtask])
            chunks.append(actor.policy.predict(observation).action_chunk.actions)
        return torch.from_numpy(np.stack(chunks)).to(self.config.device)

    def _acting(self, count: int) -> list[Actor]:
        while len(self._actors) < count:
            seeds = [self.config.seed, self._episodes, len(self._actors)]
            seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
            made = Checkpoint(self.net, self.normaliser, self.conventions)
            self._actors.append(Actor(RainPolicy(made, seed), self.config.rollout()))
        return self._actors[:count]

    # --- saving and loading -------------------------------------------------------------------

    def _notes(self) -> dict[str, Any]:
        notes = dict(self._extra)
        if self._supervision is not None:
            data = self._supervision.dataset
            notes = {
                "preset": self.config.preset,
                "tracks": list(data.tracks),
                "suites": list(data.suites),
                "episodes": len(data),
                "samples": len(self._supervision.samples),
                "trainer": "lerobot",
                "stage": self.config.stage,
                "step": self._step,
            }
        return notes

    def _save_pretrained(self, save_directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=save_directory) as temporary:
            folder = Path(temporary)
            with self._average.applied() if self._average is not None else nullcontext():
                save_checkpoint(folder, self.net, self.normaliser, self.conventions, self._notes())
            self.config.checkpoint, self.config.init = read_json(folder / CONFIG), None
            os.replace(folder / WEIGHTS, save_directory / WEIGHTS)
        self.config._save_pretrained(save_directory)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_name_or_path: str | Path,
        *,
        config: LeRobotRainConfig | None = None,
        **kwargs: Any,
    ) -> LeRobotRainPolicy:
        """Load what lerobot-train saved, by folder or hub name, or a RAIN checkpoint's folder."""
        folder = Path(pretrained_name_or_path)
        hub = {k: kwargs.pop(k) for k in _HUB & set(kwargs)}
        kwargs.pop("strict", None)
        if folder.is_dir() and is_checkpoint(folder):
            policy = cls(config or LeRobotRainConfig(init=str(folder)), **kwargs)
        else:
            if config is None:
                config = PreTrainedConfig.from_pretrained(pretrained_name_or_path, **hub)
            weights = folder / WEIGHTS
            if not folder.is_dir():
                weights = Path(hf_hub_download(str(pretrained_name_or_path), WEIGHTS, **hub))
            policy = cls(config, checkpoint=load_pretrained(config.checkpoint, weights), **kwargs)
        return policy.to(policy.config.device).eval()


_HUB = {
    "force_download",
    "resume_download",
    "proxies",
    "token",
    "cache_dir",
    "local_files_only",
    "revision",
}


def _of_network(
    recipe: TrainConfig, config: LeRobotRainConfig, checkpoint: Checkpoint
) -> TrainConfig:
    """The recipe for a checkpoint's network; RainError where another one was asked for."""
    found = checkpoint.net.config
    asked = {name: getattr(recipe.model, name) for name in config.network}
    for name, value in asked.items():
        if getattr(found, name) != value:
            raise RainError(
                f"network.{name}: {value} was asked for, but the checkpoint has "
                f"{getattr(found, name)}; leave --policy.network out to use the checkpoint's"
            )
    return replace(recipe, model=found)


@contextmanager
def _frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Keep losses made inside the block from reaching ``parameters``."""
    changed = [p for p in parameters if p.requires_grad]
    for parameter in changed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(True)


def _pixels(batch: dict[str, Any], key: str, drawn: Drawn) -> NDArray[np.float32]:
    """Pictures of drawn samples from LeRobot's batch, (n, C, H, W) in [0, 1]."""
    if key not in batch:
        raise RainError(f"the batch has no {key}; train on a dataset that rain demos process wrote")
    value = batch[key]
    chosen = value[drawn.row, drawn.partner.astype(int)] if value.ndim == 5 else value[drawn.row]
    return chosen.cpu().numpy()
