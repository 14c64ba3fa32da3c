"""The MJCF of the arm above its table, made from the numbers in ``arm`` and ``things``.

Shapes are capsules, cylinders and boxes of ours about the published joints; no mesh is used. Groups
are as in LIBERO's scenes: 1 is what cameras see, 0 only collides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rain.worlds.omy import arm
from rain.worlds.omy.things import find_thing

Point = tuple[float, float, float]

RATE_HZ = 30.0
SUBSTEPS = 16
"""Simulator steps in a control period."""

CAMERAS = ("wrist", "third", "top")
"""Views; their cameras have the same names."""

STIFFNESS = (2500.0, 2500.0, 2000.0, 800.0, 500.0, 300.0)
"""N m / rad, ours: the hand then follows a moving target by about a control period."""
TORQUE = (80.0, 80.0, 60.0, 30.0, 30.0, 30.0)
"""N m, ours."""
ARMATURE = (0.3, 0.3, 0.2, 0.1, 0.05, 0.05)
"""kg m^2, ours: what the rotors count for."""
GRIP_STIFFNESS, GRIP_TORQUE = 12.0, 2.5
"""N m / rad and N m, ours; about 50 N between the pads."""

STANDING: dict[str, tuple[Point, Point, Point, float]] = {
    "third": ((1.02, -0.38, 0.58), (0.33, 0.0, 0.08), (0.0, 0.0, 1.0), 46.0),
    "top": ((0.36, 0.0, 1.10), (0.36, 0.0, 0.0), (1.0, 0.0, 0.0), 42.0),
}
"""Views whose cameras stand still, ours: where they are, what they look at, what is up (robot base
frame, m), and their vertical field of view in degrees."""

DARK, GREY, LIGHT = "0.15 0.15 0.17 1", "0.33 0.34 0.37 1", "0.62 0.64 0.68 1"
_ARM = 'contype="2" conaffinity="1" group="1"'
_BESIDE = arm.SHOULDER_OFFSET


def scene_xml(things: Sequence[str]) -> str:
    """The MJCF of the arm, the table, the cameras and these things, each free to move."""
    bodies = "".join(
        f'<body name="{name}" pos="0 0 -1"><joint name="{name}" type="free" damping="0.0008"/>'
        f"{find_thing(name).geoms}</body>"
        for name in things
    )
    return f"""<mujoco model="omy_f3m">
  <compiler angle="radian" inertiagrouprange="0 1" boundmass="0.001" boundinertia="0.00001"/>
  <option timestep="{1 / (RATE_HZ * SUBSTEPS)}" integrator="implicitfast" cone="elliptic"
    impratio="10" iterations="30"><flag multiccd="enable"/></option>
  <visual>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.35 0.35 0.35" specular="0 0 0"/>
    <global offwidth="512" offheight="512"/>
    <map znear="0.01" zfar="10"/>
    <quality shadowsize="0" numslices="20" numstacks="10" numquads="2"/>
  </visual>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.80 0.84 0.88"
      rgb2="0.55 0.58 0.62" width="64" height="64"/>
  </asset>
  <worldbody>
    <light pos="0.2 -0.4 2" dir="0.1 0.2 -1" directional="true" castshadow="false"
      diffuse="0.5 0.5 0.5" specular="0.1 0.1 0.1"/>
    <geom name="floor" type="plane" size="4 4 0.1" pos="0 0 -0.75" rgba="0.52 0.50 0.47 1"
      group="1" contype="0" conaffinity="0"/>
    <geom name="table" type="box" size="0.55 0.65 0.02" pos="0.40 0 -0.02" group="1"
      rgba="0.80 0.72 0.60 1" contype="0" conaffinity="0"/>
    <geom name="table_top" type="plane" size="1 1 0.1" group="0" contype="1" conaffinity="3"
      friction="1 0.01 0.002"/>
    {"".join(_camera(name, *placed) for name, placed in STANDING.items())}
    {_links()}
    {bodies}
  </worldbody>
  <equality>
    <joint joint1="rh_l1" joint2="{arm.GRIPPER}" polycoef="0 1 0 0 0" solref="0.004 1"/>
    <joint joint1="rh_r2" joint2="{arm.GRIPPER}" polycoef="0 1 0 0 0" solref="0.004 1"/>
    <joint joint1="rh_l2" joint2="rh_l1" polycoef="0 1 0 0 0" solref="0.004 1"/>
  </equality>
  <actuator>
    {_servos()}
  </actuator>
</mujoco>
"""


def camera_axes(at: Sequence[float], towards: Sequence[float], up: Sequence[float]) -> NDArray:
    """Rows: a camera's axes right, up and back, (3, 3)."""
    back = np.subtract(at, towards).astype(np.float64)
    back /= np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back])


def _camera(
    name: str, at: Sequence[float], towards: Sequence[float], up: Sequence[float], fovy: float
) -> str:
    right, above, _ = camera_axes(at, towards, up)
    axes = " ".join(f"{value:.6f}" for value in (*right, *above))
    place = " ".join(f"{value:.6f}" for value in at)
    return f'<camera name="{name}" pos="{place}" xyaxes="{axes}" fovy="{fovy}"/>'


def _servos() -> str:
    rows = [
        f'<position name="{name}" joint="{name}" kp="{kp}" dampratio="1.0" '
        f'forcerange="{-torque} {torque}" ctrlrange="{low} {high}"/>'
        for name, kp, torque, (low, high) in zip(
            arm.JOINTS, STIFFNESS, TORQUE, arm.LIMITS, strict=True
        )
    ]
    low, high = arm.GRIPPER_LIMITS
    rows.append(
        f'<position name="{arm.GRIPPER}" joint="{arm.GRIPPER}" kp="{GRIP_STIFFNESS}" kv="0.25" '
        f'forcerange="{-GRIP_TORQUE} {GRIP_TORQUE}" ctrlrange="{low} {high}"/>'
    )
    return "\n    ".join(rows)


def _joint(number: int, axis: str) -> str:
    low, high = arm.LIMITS[number]
    return (
        f'<joint name="{arm.JOINTS[number]}" axis="{axis}" range="{low} {high}" '
        f'armature="{ARMATURE[number]}" damping="1"/>'
    )


def _bar(start: str, end: str, radius: float, colour: str, mass: float = 0.0) -> str:
    return (
        f'<geom type="capsule" fromto="{start} {end}" size="{radius}" rgba="{colour}" '
        f'mass="{mass}" {_ARM}/>'
    )


def _links() -> str:
    """The six links, one in the other, then the gripper."""
    m, far = arm.MASSES, _BESIDE
    gravity = 'gravcomp="1"'
    return f"""<body name="link0" {gravity}>
      <geom type="box" size="0.085 0.085 0.004" pos="0 0 0.004" rgba="{DARK}" mass="0" {_ARM}/>
      {_bar("0 0 0.04", "0 0 0.10", 0.055, DARK, m[0])}
      <body name="link1" pos="0 0 {arm.BASE_HEIGHT}" {gravity}>{_joint(0, "0 0 1")}
        {_bar("0 0.03 0", f"0 {-far} 0", 0.044, GREY, m[1])}
        <body name="link2" pos="0 {-far} 0" {gravity}>{_joint(1, "0 1 0")}
          {_bar("0 0 0", f"0 0 {arm.UPPER_ARM}", 0.040, LIGHT, m[2])}
          {_bar(f"0 0 {arm.UPPER_ARM}", f"0 {far / 2} {arm.UPPER_ARM}", 0.040, GREY)}
          <body name="link3" pos="0 0 {arm.UPPER_ARM}" {gravity}>{_joint(2, "0 1 0")}
            {_bar(f"0 {far} 0", f"0 {far} {arm.FOREARM}", 0.039, LIGHT, m[3])}
            <body name="link4" pos="0 {far} {arm.FOREARM}" {gravity}>{_joint(3, "0 1 0")}
              {_bar("0 0 0", f"0 {-arm.WRIST_OFFSET} 0", 0.038, GREY, m[4])}
              <body name="link5" pos="0 {-arm.WRIST_OFFSET} 0" {gravity}>{_joint(4, "0 0 1")}
                {_bar("0 0 0.03", f"0 0 {arm.WRIST}", 0.037, LIGHT, m[5])}
                <body name="link6" pos="0 0 {arm.WRIST}" {gravity}>{_joint(5, "0 1 0")}
                  {_hand(m[6])}
                </body>
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>"""


def _hand(mass: float) -> str:
    x, y, z = arm.WRIST_CAMERA
    base = -(arm.FLANGE + arm.GRIPPER_MOUNT)
    # The gripper's frame: x along link6's z, y along its -x, z (the approach) along its -y.
    return f"""{_bar("0 0 0", "0 -0.06 0", 0.036, GREY, mass)}
      <geom type="box" size="0.030 0.014 0.035" pos="0 -0.078 0.045" rgba="{GREY}" mass="0"
        {_ARM}/>
      <geom type="box" size="0.021 0.011 0.021" pos="{x} {y + 0.003} {z + 0.008}" rgba="{LIGHT}"
        mass="0" contype="0" conaffinity="0" group="1"/>
      {_camera("wrist", (x, y - 0.011, z), (x, y - 1.0, z), (0, 0, 1), 75)}
      <body name="hand" pos="0 {base} 0" xyaxes="0 0 1 -1 0 0" gravcomp="1">
        <geom type="box" size="0.022 0.032 0.024" pos="0 0 0.024" rgba="{DARK}"
          mass="{arm.GRIPPER_MASSES["base"]}" {_ARM}/>
        <site name="hand" pos="0 0 {arm.TOOL - arm.GRIPPER_MOUNT}" euler="0 0 -1.5707963267948966"
          size="0.002" group="4"/>
        {_finger("r", 1)}
        {_finger("l", -1)}
      </body>"""


def _finger(side: str, sign: int) -> str:
    """Two links of a finger; the second stays upright as the first turns inwards."""
    beside, before = arm.FINGER_LINK
    first = arm.GRIPPER if side == "r" else "rh_l1"
    low, high = arm.GRIPPER_LIMITS
    inner, outer = arm.GRIPPER_MASSES["inner"], arm.GRIPPER_MASSES["outer"]
    hinge = f'range="{low} {high}" armature="0.004" damping="0.05"'
    pad = sign * (0.004 - arm.PAD_INSET)
    return f"""<body name="{side}1" pos="0 {sign * arm.FINGER_ROOT[0]} {arm.FINGER_ROOT[1]}"
          gravcomp="1">
          <joint name="{first}" axis="{sign} 0 0" {hinge}/>
          {_bar("0 0 0", f"0 {sign * beside} {before}", 0.008, GREY, inner)}
          <body name="{side}2" pos="0 {sign * beside} {before}" gravcomp="1">
            <joint name="rh_{side}2" axis="{-sign} 0 0" {hinge}/>
            <geom name="pad_{side}" type="box" size="0.010 0.004 0.020" pos="0 {pad} 0.0155"
              rgba="{DARK}" mass="{outer}" friction="1.6 0.02 0.002" condim="4" priority="1"
              solref="0.008 1" contype="2" conaffinity="1" group="1"/>
          </body>
        </body>"""
