"""``train``: bring data, network and processes together and run the two stages."""

from __future__ import annotations

import contextlib

import torch

from rain.demos.dataset import Dataset
from rain.demos.sampler import check_batch
from rain.model.checkpoint import load_checkpoint
from rain.model.net import RainNet
from rain.model.normalise import Normaliser
from rain.training import machine
from rain.training.config import TrainConfig, differences
from rain.training.data import check_conventions, load_data
from rain.training.display import Display
from rain.training.run import RunFolder
from rain.training.trainer import Trainer, TrainResult
from rain.types import RainError

__all__ = ["TrainResult", "train"]


def train(config: TrainConfig) -> TrainResult:
    """Train, or continue, the run in ``config.out``; returns where its checkpoint lies.

    Raises RainError for data that is missing or does not fit, for a folder that holds another run,
    and where the loss is no longer finite.
    """
    if not config.data:
        raise RainError("--data: name at least one dataset folder")
    dataset = Dataset.open(config.data)
    check_conventions(config, dataset)
    accelerator = machine.start(config)
    folder = RunFolder(config)
    for stage in (config.stage1, config.stage2):
        if stage.steps > 0:
            check_batch(stage.batch, config.sampler.group, accelerator.num_processes)
    fingerprint = dataset.fingerprint()
    folder.check(fingerprint)
    with machine.stop_signals() as stop, Display(accelerator.is_main_process) as display:
        net, normaliser = _network(config)
        net.to(accelerator.device)
        data = load_data(
            config,
            dataset,
            net,
            normaliser,
            machine.share(accelerator),
            accelerator.wait_for_everyone,
            display.work,
        )
        with folder.held(fingerprint) if accelerator.is_main_process else contextlib.nullcontext():
            return Trainer(config, accelerator, folder, net, data, display, stop).run()


def _network(config: TrainConfig) -> tuple[RainNet, Normaliser | None]:
    """A fresh network, or the one to start from and its normalisation."""
    torch.manual_seed(config.seed)
    if config.init is None:
        return RainNet(config.model), None
    checkpoint = load_checkpoint(config.init)
    found = differences(config.model.to_dict(), checkpoint.net.config.to_dict(), "model.")
    if found:
        raise RainError(f"--init {config.init}: another network: {'; '.join(found)}")
    return checkpoint.net, checkpoint.normaliser
