"""RAIN as a LeRobot policy. Importing it registers policy ``rain`` and environment ``rain``."""

from lerobot_policy_rain.configuration_rain import LeRobotRainConfig
from lerobot_policy_rain.environment import RainEnv
from lerobot_policy_rain.processor_rain import TaskScriptProcessorStep

__all__ = ["LeRobotRainConfig", "RainEnv", "TaskScriptProcessorStep"]
