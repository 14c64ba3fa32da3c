"""The network: backbones, TarLN, cross-view encoder, PlanDiT, progress head, checkpoints."""

from __future__ import annotations

from rain.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rain.model.config import RainConfig
from rain.model.flow import FlowDraws, FlowLosses, draw_flow, flow_matching_loss
from rain.model.net import PartSize, RainNet, describe
from rain.model.normalise import Normaliser
from rain.model.policy import RainPolicy, find_checkpoint
from rain.model.presets import PRESETS, preset

__all__ = [
    "PRESETS",
    "Checkpoint",
    "FlowDraws",
    "FlowLosses",
    "Normaliser",
    "PartSize",
    "RainConfig",
    "RainNet",
    "RainPolicy",
    "describe",
    "draw_flow",
    "find_checkpoint",
    "flow_matching_loss",
    "load_checkpoint",
    "preset",
    "save_checkpoint",
]
