"""A policy in another process: what is sent, what comes back, and what is wrong with it.

Whatever goes wrong is a ``RemoteError`` of one line. In an episode it makes a crashed record: a
server that is down, slow or confused says nothing about its policy.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.bench.protocols import Needs
from rain.bench.remote.conventions import (
    PROPRIOCEPTION_DIM,
    RemoteConventions,
    libero_wording,
)
from rain.types import (
    ACTION_DIM,
    HORIZON,
    PLAN_POINTS,
    ActionChunk,
    Conventions,
    Observation,
    Plan,
    Prediction,
    Progress,
    RainError,
)

NO_PROGRESS = Progress(completion=0.0, distance=0.0, alignment=0.0)
"""Such a policy never says that it is done: the episode ends by success or by its horizon."""


class RemoteError(RainError):
    """A served policy could not be asked, or its answer makes no sense."""


class Channel(Protocol):
    """A connection to a policy server; everything it raises is a RemoteError."""

    def ask(
        self, images: dict[str, NDArray], state: dict[str, NDArray], instruction: tuple[str, str]
    ) -> NDArray:
        """Send one look (by the policy's own keys); the actions (n, 7) as the server gave them."""

    def close(self) -> None:
        """Close the connection; never raises."""


class RemotePolicy:
    """A policy behind a channel. It follows the instruction of the whole task.

    One is made for each episode: servers that keep something between looks are reset with the
    connection.
    """

    def __init__(self, channel: Channel, means: RemoteConventions, address: str) -> None:
        self.conventions = _conventions(means)
        self.needs = Needs(
            regions=False, instruction=True, proprioception=True, execute=means.execute
        )
        self._channel, self._means, self._address = channel, means, address
        # Nobody tells a policy that it is no longer needed.
        weakref.finalize(self, channel.close)

    def predict(self, observation: Observation) -> Prediction:
        """Ask the server; RemoteError when there is no sensible answer.

        The plan holds the end effector's place eight times, which says that there is none.
        """
        means, reading = self._means, observation.proprioception
        if reading is None or reading.shape != (PROPRIOCEPTION_DIM,) or not observation.instruction:
            raise RainError(
                f"{means.name}: the world gives no instruction or no proprioception of "
                f"{PROPRIOCEPTION_DIM} numbers"
            )
        answered = self._channel.ask(
            {key: means.image(observation.images[view]) for view, key in means.images},
            {key: reading[list(numbers)] for key, numbers in means.state},
            (means.instruction, libero_wording(observation.instruction)),
        )
        plan = np.tile(observation.state[:3], (PLAN_POINTS, 1))
        return Prediction(ActionChunk(self._chunk(answered)), Plan(plan), NO_PROGRESS)

    def _chunk(self, answered: Any) -> NDArray[np.float32]:
        """The first 16 actions; a shorter chunk is filled up with its last, never executed."""
        actions = np.asarray(answered)
        if actions.ndim != 2 or actions.shape[1] != ACTION_DIM or actions.dtype.kind not in "fiu":
            raise RemoteError(
                f"{self._address}: expected actions of shape (n, {ACTION_DIM}), got "
                f"{actions.dtype} {actions.shape}: does the checkpoint act on LIBERO's arm?"
            )
        if not np.isfinite(actions).all():
            raise RemoteError(f"{self._address}: the actions hold NaN or infinity")
        if len(actions) < self._means.execute:
            raise RemoteError(
                f"{self._address}: {len(actions)} actions came, {self._means.execute} are to be "
                f"executed: set execute to {len(actions)} or less"
            )
        actions = self._means.actions(actions[:HORIZON])
        return np.concatenate([actions, np.repeat(actions[-1:], HORIZON - len(actions), axis=0)])


def _conventions(means: RemoteConventions) -> Conventions:
    from rain.worlds.libero.world import libero_conventions

    # Both views in LIBERO's order, whatever order the policy has them in.
    return libero_conventions(means.render_size)
