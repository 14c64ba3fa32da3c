"""One run on an arm, from its parts: lock, ROS 2, policy server, regions, loop, figures."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TextIO

from rain.client import MaskClient, PolicyClient, StreamedRegions
from rain.perception.reasoner.protocols import PhrasedScript
from rain.perception.reasoner.registry import TaskRegistry
from rain.robot.chunks import PlayOptions
from rain.robot.client import RolloutClient
from rain.robot.client_options import ClientOptions
from rain.robot.controls import COMMANDS, Controls
from rain.robot.events import EventLog
from rain.robot.figures import Figures, write_figures
from rain.robot.lock import ArmLock
from rain.robot.moment import Moment
from rain.robot.ports import RegionPort
from rain.robot.robot import Robot
from rain.robot.timing import SystemClock
from rain.types import Conventions, RainError


@dataclass(frozen=True)
class SessionOptions:
    """What a run is made of.

    server: the policy server's address. token, curve (a client's folder of keys): that servers ask
    for, or None. seed: of the policy's noise. regions: ``sim``, or a mask server's address.
    session: of the mask server, which a page on which an operator clicks may share. tasks: a task
    registry's file. instruction: the task. execute: actions of each chunk that are executed; None:
    as many as the server says. seconds: the run's longest. out: folder for ``events.jsonl``,
    ``figures.json`` and the plot.
    """

    server: str
    token: str | None
    curve: Path | None
    seed: int
    regions: str
    session: str
    tasks: Path
    instruction: str
    execute: int | None
    seconds: float | None
    out: Path
    client: ClientOptions


class Onlooker(Protocol):
    """A page on which the run is seen and steered; called by the loop, which waits for nobody."""

    def show(self, moment: Moment) -> None:
        """A tick was done."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """An event came into the log."""


Opens = Callable[[Controls, Conventions], AbstractContextManager[Onlooker]]


def run_session(
    robot: Robot, options: SessionOptions, said: TextIO, told: Callable[[str], None],
    opens: Opens | None = None,
) -> Figures:  # fmt: skip
    """Run until the task is done, the time is over or a signal says so; RainError before it begins.

    said: an operator's commands, a line each. told: gets what people should read. opens: a page,
    for as long as the run takes.
    """
    registry = TaskRegistry.load(options.tasks)
    task = registry.decompose(options.instruction, {})
    # Only here: the loop itself does without ROS 2 and Pillow.
    from rain.robot.ros import RosPort

    with ExitStack() as stack:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        stack.enter_context(ArmLock(f"{robot.name}-{domain}"))
        policy = PolicyClient(
            options.server, seed=options.seed, token=options.token, curve=options.curve
        )
        stack.callback(policy.close)
        wanted, execute = policy.conventions, options.execute or policy.greeting.execute
        wanted.check(robot.conventions(wanted.views, wanted.image_size), "the policy", robot.name)
        controls = Controls()
        page = stack.enter_context(opens(controls, wanted)) if opens is not None else None
        log = EventLog(options.out / "events.jsonl", None if page is None else page.hear)
        stack.callback(log.close)
        clock = SystemClock()
        port = RosPort(robot, wanted.views, wanted.image_size, clock=clock)
        stack.callback(port.close)
        client = RolloutClient(
            robot, port, policy, _regions(options, wanted.views, stack), task,
            options=replace(options.client, play=_play(options.client.play, execute)),
            clock=clock, log=log, controls=controls, registry=registry,
            shows=None if page is None else page.show,
        )  # fmt: skip
        listen(said, controls, told)
        told(_begun(robot, policy, task, options))
        with ending() as ended:
            client.run(options.seconds, ended)
        for path in write_figures(client.figures, log, options.out):
            told(str(path))
    return client.figures


def listen(said: TextIO, controls: Controls, told: Callable[[str], None]) -> None:
    """Put the lines that are said into the controls, from a thread of its own."""

    def hear() -> None:
        for line in said:
            try:
                controls.say(line)
            except RainError as error:
                told(str(error))

    threading.Thread(target=hear, name="keyboard", daemon=True).start()


@contextmanager
def ending() -> Iterator[Callable[[], bool]]:
    """Says whether Ctrl-C was pressed or SIGTERM came; a second Ctrl-C interrupts as usual."""
    ended = threading.Event()

    def end(number: int, _: object) -> None:
        ended.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _play(play: PlayOptions, execute: int) -> PlayOptions:
    return replace(play, execute=execute)


def _regions(options: SessionOptions, views: tuple[str, ...], stack: ExitStack) -> RegionPort:
    """The simulated arm's own regions, or those of a mask server."""
    if options.regions == "sim":
        from rain.robot.ros_regions import RosRegions

        regions = RosRegions(views)
        stack.callback(regions.close)
        return regions
    if "://" not in options.regions:
        raise RainError(
            f"regions: expected sim, or a mask server's address, got {options.regions!r}"
        )
    loop = {"frozen_after_s": options.client.watch.frozen_after_s}
    client = MaskClient(
        options.regions, session=options.session, token=options.token, curve=options.curve,
        loop=loop,
    )  # fmt: skip
    stack.callback(client.close)
    return StreamedRegions(client)


def _begun(robot: Robot, policy: PolicyClient, task: PhrasedScript, options: SessionOptions) -> str:
    subtasks = "; ".join(map(str, task.script.subtasks))
    return (
        f"{robot.name}: “{task.script.instruction}” ({subtasks}) with {policy.greeting.policy} at "
        f"{options.server}\nan empty line is an e-stop; others: {', '.join(COMMANDS)}"
    )


def keyboard() -> TextIO:
    """Where an operator's lines come from."""
    return sys.stdin
