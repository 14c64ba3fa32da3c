"""Reference-based retargeting (RRS): join any start to a recorded interaction. NumPy only.

    references = References.pack([Reference(positions, rotations, actions, interaction, point, R)])
    made = synthesise(starts, start_rotations, references, which)
    made.actions, made.chunks(), made.plans(), made.progress(alpha)

Lengths are metres in the robot's base frame, speeds metres per control step, rotations matrices.
For another robot give ``synthesise`` another ``Controller``: ``JointController`` takes an inverse
kinematics. ``find_candidates`` says which later subtasks of an episode a frame may be joined to.
``RetargetOptions`` and ``CandidateOptions`` say which choices are the paper's and which are ours.
"""

from __future__ import annotations

from rain.retarget.candidates import (
    RULES,
    Candidate,
    CandidateOptions,
    Frame,
    estimate_holding,
    find_candidates,
    hand_state,
)
from rain.retarget.controller import (
    Approach,
    Controller,
    DeltaController,
    JointController,
    joint_jumps,
)
from rain.retarget.hermite import hermite
from rain.retarget.junction import FIRST_POSE, PAPER, REJOINED, RELAXED, Junctions, find_junctions
from rain.retarget.options import MODES, RetargetOptions
from rain.retarget.reference import Reference, References
from rain.retarget.synthesis import synthesise
from rain.retarget.trajectories import Trajectories

__all__ = [
    "FIRST_POSE",
    "MODES",
    "PAPER",
    "REJOINED",
    "RELAXED",
    "RULES",
    "Approach",
    "Candidate",
    "CandidateOptions",
    "Controller",
    "DeltaController",
    "Frame",
    "JointController",
    "Junctions",
    "Reference",
    "References",
    "RetargetOptions",
    "Trajectories",
    "estimate_holding",
    "find_candidates",
    "find_junctions",
    "hand_state",
    "hermite",
    "joint_jumps",
    "synthesise",
]
