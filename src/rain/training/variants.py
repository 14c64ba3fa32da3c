"""What an ablation varies: the rows of the paper's Table 2, each a change of a configuration.

A change is a pure function from the full model's configuration to the variant's. It raises
RainError where it makes no sense for that network or recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from rain.retarget.options import Mode
from rain.training.config import TrainConfig
from rain.types import RainError

Change = Callable[[TrainConfig], TrainConfig]

THIRD_PERSON = ("agentview", "third")
"""Names of the view that the paper's "third mask" is of: LIBERO's and the robot's."""

SHARE = 0.5
"""Share of retargeted samples where the full model has none; that of the paper's presets."""


@dataclass(frozen=True)
class Variant:
    """One row of an ablation.

    name: the folder's. title: the paper's words. panel: (a) to (d) of Table 2. change: from the
    full model. paper: success in the paper, %, of RAIN-L on LIBERO, in panel d on LIBERO-EX.
    """

    name: str
    title: str
    panel: str
    change: Change
    paper: float | None = None

    def of(self, config: TrainConfig) -> TrainConfig:
        """The variant of a full model; RainError, with the variant's name, where there is none."""
        try:
            return self.change(config)
        except RainError as error:
            raise RainError(f"variant {self.name}: {error}") from None


def _network(config: TrainConfig, **changes: object) -> TrainConfig:
    return replace(config, model=replace(config.model, **changes))  # type: ignore[arg-type]


def _without_cross_view(config: TrainConfig) -> TrainConfig:
    if len(config.model.views) < 2:
        raise RainError("a network with one view has no exchange between views to leave out")
    return _network(config, cross_view=False)


def _without_region(names: Collection[str], config: TrainConfig) -> TrainConfig:
    """The network without the region of the first of its views that is among ``names``."""
    shown = config.model.region_views
    shown = config.model.views if shown is None else shown
    hidden = [view for view in shown if view in names]
    if not hidden:
        raise RainError(
            f"the network is given no region of a view {' or '.join(names)}, only of "
            f"{', '.join(shown) or 'none'}"
        )
    return _network(config, region_views=tuple(view for view in shown if view != hidden[0]))


def _without_consistency(config: TrainConfig) -> TrainConfig:
    if config.sampler.group < 2:
        raise RainError("the consistency loss needs groups of frames: --sampler.group 2 or more")
    return _without_losses(("cons",), config)


def _without_losses(names: Collection[str], config: TrainConfig) -> TrainConfig:
    for name in names:
        if getattr(config.weights, name) == 0:
            raise RainError(f"the full model has weights.{name} 0 already")
    return replace(config, weights=replace(config.weights, **dict.fromkeys(names, 0.0)))


def _retargeting(mode: Mode, config: TrainConfig) -> TrainConfig:
    """Retargeting of a mode; a full model that has it, or has none, is its own variant."""
    options = config.retarget
    if mode == "none" and not options.on:
        return config
    share = options.share if options.share > 0 or mode == "none" else SHARE
    synthesis = replace(options.synthesis, mode=mode)
    return replace(config, retarget=replace(options, share=share, synthesis=synthesis))


FULL = Variant("full", "Full model", "", lambda config: config, 91.0)
"""The configuration as it was given; what all others are compared with."""

PANELS: Mapping[str, tuple[Variant, ...]] = {
    "a": (
        Variant("no-cross-view", "w/o cross-view", "a", _without_cross_view, 82.1),
        Variant(
            "no-third-mask", "w/o third mask", "a", partial(_without_region, THIRD_PERSON), 86.6
        ),
        Variant("no-wrist-mask", "w/o wrist mask", "a", partial(_without_region, ("wrist",)), 85.8),
    ),
    "b": (
        Variant(
            "no-plan-tokens", "w/o plan token", "b", partial(_network, plan_tokens=False), 89.7
        ),
        Variant("no-cons", "w/o L_consis", "b", _without_consistency, 90.4),
        Variant(
            "bidirectional",
            "w/ bi-directional attn",
            "b",
            partial(_network, bidirectional=True),
            89.0,
        ),
    ),
    "c": (
        Variant(
            "no-dist-align",
            "w/o L_dist and L_align",
            "c",
            partial(_without_losses, ("dist", "align")),
            89.7,
        ),
        Variant("no-align", "w/o L_align", "c", partial(_without_losses, ("align",)), 90.5),
        Variant("no-dist", "w/o L_dist", "c", partial(_without_losses, ("dist",)), 89.9),
    ),
    "d": (
        Variant("retarget-none", "no retarget", "d", partial(_retargeting, "none"), 44.3),
        Variant("retarget-linear", "linear interp.", "d", partial(_retargeting, "linear"), 58.8),
        Variant("retarget-rrs", "RRS (ours)", "d", partial(_retargeting, "rrs"), 67.0),
    ),
}
"""The panels of Table 2: encoder, PlanDiT, progress head, retarget strategy."""

SETS: Mapping[str, tuple[Variant, ...]] = {
    "table-2": tuple(variant for panel in PANELS.values() for variant in panel),
    **{f"table-2{panel}": variants for panel, variants in PANELS.items()},
}
"""Named sets of variants, each without the full model, which belongs to all of them."""


def choose_variants(name: str, only: Collection[str] = ()) -> tuple[Variant, ...]:
    """The variants of a set, or those of them that ``only`` names; RainError for a foreign name."""
    if name not in SETS:
        raise RainError(f"no ablation {name!r}; choose one of {', '.join(SETS)}")
    variants = SETS[name]
    known = [variant.name for variant in variants]
    foreign = [wanted for wanted in only if wanted not in known]
    if foreign:
        raise RainError(f"{name} has no variant {foreign[0]!r}; it has {', '.join(known)}")
    return tuple(variant for variant in variants if not only or variant.name in only)
