"""``rain robot``: run a policy on an arm over ROS 2, and the simulated arm in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from rain.cli.dashboard_options import PageOptions
from rain.cli.subcommands import run_subcommand
from rain.cli.token import given_token
from rain.robot.calibration import load_calibration
from rain.robot.client_options import ClientOptions
from rain.robot.controls import Controls
from rain.robot.recorder_options import RecorderOptions
from rain.robot.robot import load_robot
from rain.robot.session import Opens, SessionOptions, ending, keyboard, run_session
from rain.types import Conventions, RainError


@dataclass(frozen=True)
class Run:
    """Run a task on the arm of this ROS domain, until it is done or Ctrl-C.

    An empty line on the keyboard is an e-stop. Where RAIN_TOKEN is set, it is the servers'.
    """

    tasks: Path
    """The task registry, a YAML file."""
    instruction: str
    """Which of its tasks."""
    out: Path
    """Folder for the log of events and the figures."""
    robot: str = "omy_f3m"
    """A preset, or a YAML file that describes an arm."""
    server: str = "tcp://127.0.0.1:5560"
    """The policy server."""
    regions: str = "sim"
    """Where regions come from: sim, the simulated arm's own, or a mask server's address."""
    session: str = ""
    """Name under which others may share the mask server's frames and target, e.g. to click."""
    curve: Path | None = None
    """Folder of this client's keys (rain keys), where the servers ask for them."""
    seed: int = 0
    """Of the policy's noise."""
    execute: int | None = None
    """Actions of each chunk that are executed; as the server says where it is not given."""
    seconds: float | None = None
    """Longest time of the run."""
    client: ClientOptions = field(default_factory=ClientOptions)
    dashboard: bool = False
    """Serve the operator's page of this run, at --host and --port (docs/dashboard.md)."""
    calibration: str | None = None
    """Where standing cameras are, for waypoints on the page: a YAML file, or omy_f3m_sim."""
    page: tyro.conf.OmitArgPrefixes[PageOptions] = field(default_factory=PageOptions)


@dataclass(frozen=True)
class Sim:
    """Be the simulated arm: its topics, in real time, until Ctrl-C.

    Prints a line of JSON when the task comes to be done, and one at the end.
    """

    task: int = 0
    """Task number, 0 to 8."""
    start: int = 0
    """Number of the init state, or with --fresh of the layout."""
    fresh: bool = False
    """A fresh layout in place of an init state for evaluation."""
    image_size: int = 336
    """Pixels of a view's side."""
    labels: bool = True
    """Send the simulator's own regions as well."""
    seconds: float | None = None
    """How long."""
    expert: int = 0
    """Let the scripted expert do the task so many times, in fresh layouts from --start on, for
    `rain robot record --recorder.automatic`; 0: whoever sends joint targets moves the arm."""
    then: tuple[int, ...] = ()
    """Tasks of the same scene that the expert does after it, in the same demonstration: retargeting
    needs later subtasks."""
    robot: str = "omy_f3m"
    """A preset, or a YAML file: the names of topics and joints."""


@dataclass(frozen=True)
class Record:
    """Record demonstrations of a task on the arm of this ROS domain into a LeRobot v3 dataset.

    Say start, stop, discard, next (the present subtask is complete) or quit, a line each.
    """

    tasks: Path
    """The task registry, a YAML file."""
    instruction: str
    """Which of its tasks."""
    out: Path
    """The dataset; one that is there goes on."""
    track: str = "protocol"
    """Of the dataset: protocol or open."""
    views: tuple[str, ...] = ("third", "top", "wrist")
    """Which cameras."""
    image_size: int = 336
    """Pixels of a view's side."""
    images: Literal["video", "png"] = "video"
    """How images are kept."""
    regions: Literal["none", "sim"] = "none"
    """Where regions come from: sim, the simulated arm's own."""
    robot: str = "omy_f3m"
    """A preset, or a YAML file that describes an arm."""
    recorder: RecorderOptions = field(default_factory=RecorderOptions)


@dataclass(frozen=True)
class Demo:
    """Run the whole stack on this machine: simulated arm, mask server, policy server and client.

    Each is a process of its own. Targets are pointed at once they are seen, as an operator would;
    a light tracker follows them. Writes a video and a report. Exit code 1: the task was not done.
    """

    checkpoint: str = "rain-omy"
    """A checkpoint folder, or the name of a shipped one."""
    task: int = 0
    """Task number of the simulated arm."""
    start: int = 0
    """Number of the init state."""
    image_size: int = 128
    """Pixels of a view's side, as the checkpoint wants them."""
    seconds: float = 60.0
    """The longest that the client may take."""
    out: Path = Path("runs/robot-demo")
    """Folder for demo.mp4, report.json, logs and the client's figures."""
    dashboard: bool = False
    """Serve the operator's page of the run as well, at --port."""
    port: int = 8765
    """0: any free one; it stands in client.log."""


def main(args: list[str]) -> int:
    """Run ``rain robot SUBCOMMAND``."""
    return run_subcommand(
        args,
        "rain robot",
        {
            "run": (Run, _run),
            "record": (Record, _record),
            "sim": (Sim, _sim),
            "demo": (Demo, _demo),
        },
    )


def _demo(command: Demo) -> int:
    # Only here: it needs the simulator and films.
    from rain.robot.demo import DemoOptions, run_demo

    options = DemoOptions(
        command.checkpoint, command.task, command.start, command.image_size, command.seconds,
        command.out, command.port if command.dashboard else None,
    )  # fmt: skip
    report = run_demo(options, _print)
    _print("success" if report["success"] else "failure")
    return 0 if report["success"] else 1


def _run(command: Run) -> int:
    if command.seconds is not None and command.seconds <= 0:
        raise RainError("--seconds must be positive")
    options = SessionOptions(
        command.server, given_token(), command.curve, command.seed,
        command.regions, command.session, command.tasks, command.instruction, command.execute,
        command.seconds, command.out, command.client,
    )  # fmt: skip
    robot = load_robot(command.robot)
    opens = _page(command, f"{robot.name} · {command.server}") if command.dashboard else None
    figures = run_session(robot, options, keyboard(), _print, opens)
    _print(json.dumps({**figures.counts, "late": figures.late.told()}))
    return 0


def _page(command: Run, title: str) -> Opens:
    # Only here: a robot computer need not have what serves pages.
    from rain.dashboard.robot import RobotSession
    from rain.perception.classical import ClassicalSegmenter

    command.page.token()
    cameras = None if command.calibration is None else load_calibration(command.calibration)

    @contextmanager
    def opened(controls: Controls, conventions: Conventions) -> Iterator[RobotSession]:
        session = RobotSession(
            title,
            controls,
            ClassicalSegmenter,
            conventions,
            every=command.page.every,
            cameras=cameras,
        )
        with command.page.served(session) as address:
            _print(f"{title} at {address}")
            yield session

    return opened


def _sim(command: Sim) -> int:
    # Only here: it needs the simulator, which a robot computer has not.
    from rain.robot.sim_node import SimNode, SimOptions

    options = SimOptions(
        command.task, command.start, command.fresh or command.expert > 0, command.image_size,
        command.labels, command.expert > 0, command.then,
    )  # fmt: skip
    robot = load_robot(command.robot)
    node = SimNode(robot, options)
    try:
        _print(f"{robot.name}, simulated: “{node.script.instruction}”")
        with ending() as ended:
            if command.expert:
                _print(json.dumps(node.demonstrate(command.expert, ended, _print)))
            else:
                _print(json.dumps(node.run(command.seconds, ended, _print)))
    finally:
        node.close()
    return 0


def _record(command: Record) -> int:
    # Only here: it needs what writes datasets, which a robot computer may not have.
    from rain.robot.recording import RecordingOptions, run_recording

    options = RecordingOptions(
        command.tasks, command.instruction, command.out, command.views, command.image_size,
        command.track, command.images, command.regions == "sim", command.recorder,
    )  # fmt: skip
    finished = run_recording(load_robot(command.robot), options, keyboard(), _print)
    _print(f"{finished} episodes were recorded into {command.out}")
    return 0


def _print(text: str) -> None:
    print(text, flush=True)
