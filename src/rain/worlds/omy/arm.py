"""The numbers of the OMY-F3M and its gripper, as ROBOTIS publishes them, and what is ours.

Published: joint origins, axes and limits, link masses, the gripper's links and the wrist camera's
place are those of the URDF in ROBOTIS-GIT/open_manipulator (open_manipulator_description, omy_f3m
and rh_p12_rn_a). At all joints 0 the arm stands straight up and the tool points along -y.

Ours: the servo gains, torque limits and shapes (``scene``), and the joint limits that inverse
kinematics and the expert keep to.
"""

from __future__ import annotations

import numpy as np

JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
GRIPPER = "rh_r1_joint"
"""The joint that moves the gripper; the other three of its linkage follow it."""
NAMES = (*JOINTS, GRIPPER)
"""In the order of state and action."""

BASE_HEIGHT = 0.1715
"""m, joint1 above the base."""
SHOULDER_OFFSET = 0.1215
"""m, joint2 beside joint1's axis, along -y; link 3 comes back by as much."""
UPPER_ARM = 0.247
"""m, joint2 to joint3."""
FOREARM = 0.2195
"""m, joint3 to joint4."""
WRIST_OFFSET = 0.113
"""m, joint4 to joint5, along -y."""
WRIST = 0.1155
"""m, joint5 to joint6."""
FLANGE = 0.103
"""m, joint6 to the flange, along -y."""
TOOL = 0.141
"""m, flange to ``end_effector_link``, which lies between the finger tips; along -y."""

MASSES = (1.5287, 2.0649, 3.6795, 2.3866, 1.4002, 1.4002, 0.4002)
"""kg, link0 to link6."""

LIMITS = np.array([[-2 * np.pi, 2 * np.pi]] * 6)
"""rad, (6, 2)."""
SPEED = 4.8
"""rad/s, of the six joints."""
GRIPPER_LIMITS = (0.0, 1.13514578304)
"""rad, open to closed."""
GRIPPER_SPEED = 6.5
"""rad/s."""
GRIPPER_MASSES = {"base": 0.236, "inner": 0.068, "outer": 0.022}
"""kg; inner and outer links of either finger."""
FINGER_ROOT = (0.008, 0.048)
"""m, a finger's first joint beside and before the gripper's base."""
FINGER_LINK = (0.0493634, 0.0285)
"""m, its second joint beside and before the first."""
GRIPPER_MOUNT = 0.006
"""m, the gripper's base before the flange."""
WRIST_CAMERA = (0.0, -0.07385, 0.0803)
"""m, in link6. The URDF's x of -0.021 is the distance of the camera's left imager; ours is in the
middle."""

PLANNED = np.array([[-np.pi, np.pi], [-np.pi, np.pi], [-2.618, 2.618], *[[-np.pi, np.pi]] * 3])
"""rad, (6, 2): narrower limits of ours, which inverse kinematics and the expert keep to. The
elbow's is 150 degrees, beyond which the forearm meets the upper arm."""

PAD_INSET = 0.0043
"""m, a pad's face inside of its link's joint: it makes the published stroke of 106 mm."""

HOME = np.array([0.386, -0.156, 1.312, 0.4148, np.pi / 2, -0.386])
"""rad, ours: where episodes begin, about; the hand points down above the table."""


def opening(gripper: float | np.ndarray) -> float | np.ndarray:
    """Distance between the pads, m, at a gripper joint, rad."""
    root, (beside, before) = FINGER_ROOT[0], FINGER_LINK
    half = root + beside * np.cos(gripper) - before * np.sin(gripper) - PAD_INSET
    return 2 * half


def gripper_at(width: float) -> float:
    """Gripper joint, rad, at which the pads are ``width`` m apart; within its limits."""
    beside, before = FINGER_LINK
    reach, phase = np.hypot(beside, before), np.arctan2(before, beside)
    cosine = (width / 2 + PAD_INSET - FINGER_ROOT[0]) / reach
    return float(np.clip(np.arccos(np.clip(cosine, -1, 1)) - phase, *GRIPPER_LIMITS))
