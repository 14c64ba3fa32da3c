"""Where policies come from, by the text that ``--policy`` takes.

To add one: a module here with a frozen, picklable class that is a ``PolicySource``
(rain.bench.protocols), and a line in ``FACTORIES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rain.bench.protocols import PolicySource
from rain.types import RainError


@dataclass(frozen=True)
class PolicyOptions:
    """What a source may need beside its text. threads: CPU threads of a network, a process;
    device: where a network is."""

    threads: int = 1
    device: str = "cpu"


def policy_source(text: str, options: PolicyOptions | None = None) -> PolicySource:
    """The source that ``KIND:REST`` names; a text without a known kind is a RAIN checkpoint.

    RainError where the rest is wrong, or the kind unknown and no checkpoint has that name.
    """
    options = options or PolicyOptions()
    kind, colon, rest = text.partition(":")
    if kind in FACTORIES and (colon or kind in ALONE):
        return FACTORIES[kind](rest, options)
    if colon and not Path(text).exists():
        known = ", ".join(f"{name}:" for name in FACTORIES if name not in ALONE)
        raise RainError(f"policy {text!r}: {kind!r} is none of {known} or {' or '.join(ALONE)}")
    return _rain(text, options)


def _rain(rest: str, options: PolicyOptions) -> PolicySource:
    if rest.startswith(("tcp://", "ipc://")):
        from rain.bench.policies.served import ServedPolicies

        return ServedPolicies.from_text(rest)
    from rain.bench.sources import CheckpointPolicies

    return CheckpointPolicies(rest, options.threads, options.device)


def _expert(kind: str) -> Callable[[str, PolicyOptions], PolicySource]:
    def make(rest: str, options: PolicyOptions) -> PolicySource:
        from rain.bench.policies import expert

        if rest:
            raise RainError(f"policy {kind} takes nothing after it, got {rest!r}")
        return expert.EXPERTS[kind]

    return make


def _regions(rest: str, options: PolicyOptions) -> PolicySource:
    from rain.bench.policies.omy_regions import RegionPolicies

    if rest:
        raise RainError(f"policy omy-regions takes nothing after it, got {rest!r}")
    return RegionPolicies()


def _replay(rest: str, options: PolicyOptions) -> PolicySource:
    from rain.bench.policies.replay import ReplayPolicies

    return ReplayPolicies(rest)


def _remote(kind: str) -> Callable[[str, PolicyOptions], PolicySource]:
    def make(rest: str, options: PolicyOptions) -> PolicySource:
        from rain.bench.remote.source import RemotePolicies

        return RemotePolicies.from_text(f"{kind}:{rest}")

    return make


EXPERTS = ("expert", "omy-expert")
ALONE = (*EXPERTS, "omy-regions")
"""Kinds that need no more text."""

FACTORIES: dict[str, Callable[[str, PolicyOptions], PolicySource]] = {
    "rain": _rain,
    **{kind: _expert(kind) for kind in EXPERTS},
    "omy-regions": _regions,
    "replay": _replay,
    **{kind: _remote(kind) for kind in ("openpi", "groot", "lerobot")},
}
"""Kind -> what makes a source of the rest of the text."""
