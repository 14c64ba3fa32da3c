"""The switches of the synthesis, and which of them are the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rain.types import RainError

Mode = Literal["rrs", "linear", "mimicgen", "none"]
MODES: tuple[Mode, ...] = ("rrs", "linear", "mimicgen", "none")


@dataclass(frozen=True)
class RetargetOptions:
    """How a start is joined to a reference. ``RetargetOptions.paper()`` is the paper alone."""

    mode: Mode = "rrs"
    """rrs (the paper) · linear: a straight line to the interaction point (the paper's ablation) ·
    mimicgen: a straight line to the reference's first pose, then replay · none: the recorded
    actions from the start, unchanged."""

    d_max: float = 0.6
    """m, d_max of eq. 7. The paper: "determined by the workspace scale"; the value is ours."""
    max_distance: float = 0.4
    """m, proximity limit: no junction farther away. The paper has the limit; the value is ours."""
    min_alignment: float = 0.2
    """Direction limit: least cosine between approach and tangent. Likewise."""

    margin: int = 1
    """Ours: a junction lies at least this many steps before the interaction, since one behind it
    would skip the grasp. 0 leaves the junction free, as in eq. 7."""
    keep_distance: float = 0.05
    """Ours, m: the last part of the path within this distance of the interaction point stays as
    recorded, where the reference is long enough. 0 switches it off."""
    fallback: bool = True
    """Ours: where no point meets the limits, the best by a score that is positive everywhere, and
    where the reference has no such point, its first pose. False marks such a result invalid. (The
    argmax of eq. 7 over negative scores would favour the farthest and latest point.)"""
    rejoin_distance: float = 1e-3
    """Ours, m: a start this close to a point of the reference (and ``rejoin_angle``) needs no
    approach and gets the recorded actions; v_k of eq. 7 has no direction there. Negative: off."""
    rejoin_angle: float = 0.02
    """rad, see ``rejoin_distance``."""

    spacing: Literal["parameter", "arc"] = "parameter"
    """parameter: u_i = i / N (the paper); arc (ours): steps of equal length."""
    speed: float | None = None
    """Ours, m per step; None: the reference's own mean speed up to its interaction. N follows
    from it: the paper does not say how it chooses N."""
    max_step: float = 0.0131
    """Ours, m: no step of the approach is longer; a full LIBERO command moves as far."""
    max_turn: float = 0.06
    """Ours, rad: no step of the approach turns farther; 0 switches it off."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise RainError(f"retarget mode: expected one of {', '.join(MODES)}, not {self.mode!r}")
        if self.spacing not in ("parameter", "arc"):
            raise RainError(f"retarget spacing: expected parameter or arc, not {self.spacing!r}")
        for name in ("d_max", "max_distance", "max_step"):
            if not getattr(self, name) > 0:
                raise RainError(f"RetargetOptions.{name}: expected a positive length")
        if self.margin < 0 or self.max_turn < 0 or (self.speed is not None and self.speed <= 0):
            raise RainError(
                "RetargetOptions: margin and max_turn must not be negative, speed must be positive"
            )

    @classmethod
    def paper(cls) -> RetargetOptions:
        """What the paper says and nothing of ours, but for limits it leaves without a value."""
        return cls(margin=0, keep_distance=0.0, fallback=False, rejoin_distance=-1.0, max_turn=0.0)
