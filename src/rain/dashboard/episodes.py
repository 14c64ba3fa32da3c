"""Episodes under the eyes of an operator: begun from the page, or those of a planned run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Literal

from rain.bench.episode import RolloutConfig
from rain.bench.protocols import PerceivedWorld, PolicySource, TaskWorld
from rain.bench.records import Trial
from rain.bench.rollouts import rollout
from rain.bench.runner import Launch
from rain.bench.worker import Setup, report
from rain.dashboard.rollout_session import RolloutSession

Starts = Literal["fresh", "official"]
"""Episode n begins from a fresh reset with seed n, or from init state n."""


@dataclass(frozen=True)
class Begun:
    """How episodes are begun from the page."""

    starts: Starts = "fresh"
    config: RolloutConfig = field(default_factory=RolloutConfig)


def run_episodes(
    session: RolloutSession, world: TaskWorld, policies: PolicySource, how: Begun, first: int = 0
) -> None:
    """Run episode ``first``, and then each that an operator begins, until the session is over."""
    number: int | None = first
    while number is not None:
        official = how.starts == "official"
        world.reset(init_state=number if official else None, seed=None if official else number)
        told = world.told(world.script) if isinstance(world, PerceivedWorld) else world.script
        rollout(world, policies(number), world.script, how.config, told=told, operator=session)
        number = session.next_episode()


def launch_here(session: RolloutSession) -> Launch:
    """Run the workers of a planned run in a thread of this process, where the session is."""

    def launch(connection: Connection, trials: list[Trial], setup: Setup) -> _Here:
        # The runner closes its end as soon as the job has one of its own.
        ours = Connection(os.dup(connection.fileno()), readable=False)
        return _Here(lambda: _send(session, ours, trials, setup), session.close)

    return launch


class _Here:
    """A job in a thread."""

    exitcode: int | None = None

    def __init__(self, run: Callable[[], None], end: Callable[[], None]) -> None:
        self._end = end
        self._thread = threading.Thread(target=run, name="rollout", daemon=True)
        self._thread.start()

    def terminate(self) -> None:
        """Let it end after the step at work."""
        self._end()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(30)


def _send(
    session: RolloutSession, connection: Connection, trials: list[Trial], setup: Setup
) -> None:
    """Send what the trials come to; what was cut off by the session's end is no record."""
    try:
        for message in report(trials, setup):
            if session.closed:
                return
            connection.send(message)
    finally:
        connection.close()
