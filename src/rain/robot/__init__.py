"""The real arm and its stand-in: rollout client at 30 Hz, safety, ROS 2 (docs/robot.md)."""
