"""The policy service: predictions, those that wait at the same time in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rain.client.wire import WireError
from rain.messages import conventions_out, observation_in, prediction_out
from rain.serving.server import Later, Request, fields_of
from rain.types import HORIZON, Observation, Policy, Prediction, RainError, one_line


class ServedPolicies(Protocol):
    """Where the policies come from; ``rain.bench.sources.CheckpointPolicies`` is one."""

    @property
    def name(self) -> str:
        """A short name."""

    def fingerprint(self) -> str:
        """Changes when the policy does."""

    def __call__(self, seed: int) -> Policy:
        """A policy with noise of its own."""

    def predict_together(
        self, policies: Sequence[Policy], observations: Sequence[Observation], size: int
    ) -> list[Prediction]:
        """One prediction a policy, from one batch."""


@dataclass
class _Session:
    """A client's policy, with noise of its own."""

    policy: Policy


class PolicyService:
    """Answers ``predict`` and ``reset``; each client has noise of its own."""

    kinds = frozenset({"predict", "reset"})

    def __init__(self, policies: ServedPolicies, execute: int = 8) -> None:
        """Load the policy; RainError where that cannot be done.

        execute: actions of a chunk that clients are told to execute.
        """
        if not 1 <= execute <= HORIZON:
            raise RainError(f"execute: expected 1 to {HORIZON}, got {execute}")
        self._policies = policies
        self.conventions = policies(0).conventions
        self._about = {
            "server": "rain serve",
            "policy": policies.name,
            "fingerprint": policies.fingerprint(),
            "conventions": conventions_out(self.conventions),
            "horizon": HORIZON,
            "execute": execute,
        }

    def about(self) -> dict[str, Any]:
        """What ``hello`` answers."""
        return self._about

    def open(self, hello: dict[str, Any]) -> _Session:
        """A policy whose noise starts from ``seed``."""
        return _Session(self._policies(_seed(hello)))

    def close(self, session: _Session) -> None:
        """Nothing outlives a session."""

    def answer(self, request: Request) -> Any:
        """Reset at once; put predictions off until all that wait are there."""
        if request.kind == "reset":
            request.session.policy = self._policies(_seed(fields_of(request.content)))
            return {}
        observation = observation_in(request.content)
        self.conventions.check_observation(observation)
        return Later(observation)

    def work(self, asked: Sequence[tuple[Request, Any]]) -> Iterator[tuple[Request, Any]]:
        """Predict in batches. Of one client's requests each is in a batch of its own: its noise is
        drawn in their order."""
        rest = list(asked)
        while rest:
            first = {id(request.session): request for request, _ in reversed(rest)}
            batch = [(r, o) for r, o in rest if first[id(r.session)] is r]
            rest = [(r, o) for r, o in rest if first[id(r.session)] is not r]
            yield from self._predict(batch)

    def _predict(self, batch: Sequence[tuple[Request, Any]]) -> Iterator[tuple[Request, Any]]:
        try:
            predictions = self._policies.predict_together(
                [r.session.policy for r, _ in batch], [o for _, o in batch], len(batch)
            )
        except Exception as error:
            for request, _ in batch:
                yield request, WireError("policy_failed", one_line(error))
            return
        for (request, _), prediction in zip(batch, predictions, strict=True):
            yield request, prediction_out(prediction)


def _seed(content: dict[str, Any]) -> int:
    seed = content.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise WireError("bad_request", "seed: expected a whole number, 0 or more")
    return seed
