"""A policy behind a policy server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from rain.client.connection import Client, Connection, ServerError
from rain.messages import MessageError, conventions_in, observation_out, prediction_in
from rain.types import Conventions, Observation, Prediction


@dataclass(frozen=True)
class Greeting:
    """What a policy server says of itself. execute: actions of a chunk to execute."""

    policy: str
    fingerprint: str
    version: str
    conventions: Conventions
    horizon: int
    execute: int


class PolicyClient(Client):
    """Asks a policy server; a ``Policy`` itself.

    ``predict`` waits. A control loop asks at one tick and looks for answers at later ones:

        number = client.ask(observation)
        for number, prediction in client.poll():
            ...

    After a server was away the client greets it again; the noise then starts anew from the seed.
    """

    greeting: Greeting
    conventions: Conventions

    def __init__(
        self,
        address: str,
        *,
        seed: int = 0,
        token: str | None = None,
        timeout: float = 5.0,
        curve: Path | None = None,
        context: zmq.Context | None = None,
    ) -> None:
        """Connect and greet; ServerError where nobody answers within ``timeout`` s.

        token, curve (a folder, ``rain keys``): where the server asks for them.
        """
        self._hello = {"seed": seed} | ({} if token is None else {"token": token})
        self._address = address
        self._connection = Connection(
            address, self._hello, self._greeted, timeout=timeout, curve=curve, context=context
        )

    def predict(self, observation: Observation) -> Prediction:
        """The server's prediction; ServerError where none comes in time."""
        return self._connection.ask("predict", observation_out(observation), prediction_in)

    def ask(self, observation: Observation) -> int:
        """Ask without waiting; the number by which ``poll`` gives the prediction."""
        return self._connection.send("predict", observation_out(observation), prediction_in)

    def poll(self) -> list[tuple[int, Prediction]]:
        """Predictions that have come since the last call, perhaps none; each number comes once.

        ServerError, once for each, for questions that were refused or lost, when there is nothing
        else to give; its ``number`` says which.
        """
        return self._connection.poll()

    def reset(self, seed: int) -> None:
        """Start the noise again from ``seed``, e.g. at the start of an episode."""
        self._hello["seed"] = seed
        self._connection.ask("reset", {"seed": seed})

    def _greeted(self, said: Any) -> None:
        try:
            greeting = Greeting(
                policy=str(said["policy"]),
                fingerprint=str(said["fingerprint"]),
                version=str(said["version"]),
                conventions=conventions_in(said["conventions"]),
                horizon=int(said["horizon"]),
                execute=int(said["execute"]),
            )
        except (KeyError, TypeError, ValueError, MessageError) as error:
            raise ServerError(
                f"{self._address}: no policy server of RAIN's ({error})", "bad_answer"
            ) from error
        known = getattr(self, "greeting", greeting)
        if greeting.fingerprint != known.fingerprint:
            raise ServerError(
                f"{self._address}: the server has another policy now, {greeting.policy} in place "
                f"of {known.policy}",
                "other_policy",
            )
        self.greeting, self.conventions = greeting, greeting.conventions
