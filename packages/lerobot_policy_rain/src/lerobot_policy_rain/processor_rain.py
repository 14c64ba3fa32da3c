"""Between LeRobot's batches and observations and the policy: names and devices, no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lerobot.configs.types import PipelineFeatureType, PolicyFeature
from lerobot.processor import (
    AddBatchDimensionProcessorStep,
    DeviceProcessorStep,
    NormalizerProcessorStep,
    ObservationProcessorStep,
    PolicyAction,
    PolicyProcessorPipeline,
    ProcessorStepRegistry,
    RenameObservationsProcessorStep,
    UnnormalizerProcessorStep,
)
from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action
from lerobot.utils.constants import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
)
from torch import Tensor

from lerobot_policy_rain.configuration_rain import LeRobotRainConfig

ROBOT_STATE = "observation.robot_state"
REGIONS = "observation.regions."
ACTION_TYPES_KEY = "observation.action_types"


@dataclass
@ProcessorStepRegistry.register(name="rain_task_script")
class TaskScriptProcessorStep(ObservationProcessorStep):
    """Unpack what an environment says about its task script.

    LeRobot passes an environment's ``robot_state`` through unread, and nothing else that is no
    picture or vector. From it come ``observation.regions.VIEW``, (B, N, H, W) in [0, 1], the
    region of each of the N subtasks' targets, and ``observation.action_types``, int (B, N).
    """

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Replace ``observation.robot_state``; observations without it stay as they are."""
        told = observation.get(ROBOT_STATE)
        if not isinstance(told, dict) or "regions" not in told:
            return observation
        kept = {key: value for key, value in observation.items() if key != ROBOT_STATE}
        regions: dict[str, Tensor] = told["regions"]
        kept |= {f"{REGIONS}{view}": region.float() for view, region in regions.items()}
        kept[ACTION_TYPES_KEY] = told["action_types"]
        return kept

    def transform_features(
        self, features: dict[PipelineFeatureType, dict[str, PolicyFeature]]
    ) -> dict[PipelineFeatureType, dict[str, PolicyFeature]]:
        """Leave LeRobot's declared features as they are."""
        return features


def make_rain_pre_post_processors(
    config: LeRobotRainConfig, dataset_stats: dict[str, dict[str, Tensor]] | None = None
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]:
    """Make the two pipelines; lerobot-train looks for LeRobot's normalisers, so they are there.

    They are told to change nothing (``normalization_mapping``): the policy normalises by itself.
    """
    features = {**(config.input_features or {}), **(config.output_features or {})}
    steps = [
        RenameObservationsProcessorStep(rename_map={}),
        AddBatchDimensionProcessorStep(),
        TaskScriptProcessorStep(),
        DeviceProcessorStep(device=config.device),
        NormalizerProcessorStep(
            features=features, norm_map=config.normalization_mapping, device=config.device
        ),
    ]
    after = [
        UnnormalizerProcessorStep(
            features=config.output_features or {}, norm_map=config.normalization_mapping
        ),
        DeviceProcessorStep(device="cpu"),
    ]
    return (
        PolicyProcessorPipeline[dict[str, Any], dict[str, Any]](
            steps=steps, name=POLICY_PREPROCESSOR_DEFAULT_NAME
        ),
        PolicyProcessorPipeline[PolicyAction, PolicyAction](
            steps=after,
            name=POLICY_POSTPROCESSOR_DEFAULT_NAME,
            to_transition=policy_action_to_transition,
            to_output=transition_to_policy_action,
        ),
    )
