"""The whole stack as processes of their own: simulated arm, mask server, policy server, client.

What this process does itself is to watch: it films what the cameras send with the regions that the
mask server gives, points at each subtask's target as an operator would, and reports times.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.client import MaskClient, PolicyClient
from rain.client.connection import ServerError
from rain.drawing import VIEW_PIXELS, VideoWriter, draw_header, draw_panel, label, tint
from rain.robot.pointing import Pointer
from rain.robot.robot import load_robot
from rain.robot.ros import RosPort
from rain.robot.ros_regions import RosRegions
from rain.types import Look, RainError, TaskScript
from rain.worlds.omy.tasks import SUITE, find_omy_task

SESSION = "demo"
FILM_HZ = 10.0
STARTING_S = 60.0
"""How long the processes may take until they answer."""
RAIN = (sys.executable, "-m", "rain.cli.main")


@dataclass(frozen=True)
class DemoOptions:
    """What is run.

    checkpoint: of the policy server. task, start: of the simulated arm, an init state for
    evaluation. image_size: px, as the checkpoint wants it. seconds: the longest that the client may
    take. out: folder for the video, logs and the report. page: port of the operator's page, 0
    for any free one, or None for none.
    """

    checkpoint: str
    task: int
    start: int
    image_size: int
    seconds: float
    out: Path
    page: int | None = None


def run_demo(options: DemoOptions, told: Callable[[str], None]) -> dict[str, Any]:
    """Run the task once; what is written to ``report.json``. RainError where a process ends early.

    out/ gets demo.mp4, report.json, a log of each process, and the client's own figures.
    """
    script = find_omy_task(SUITE, options.task).script
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "run" / "events.jsonl").unlink(missing_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_own_domain())
        parts = Processes(options.out)
        stack.callback(parts.end)
        policy, masks = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        size = str(options.image_size)
        parts.begin("sim", "robot", "sim", "--task", str(options.task), "--start",
                    str(options.start), "--image-size", size)  # fmt: skip
        parts.begin("masks", "masks", "--address", masks)
        parts.begin("serve", "serve", "--checkpoint", options.checkpoint, "--address", policy)
        watcher = stack.enter_context(Watcher(script, options, masks, parts))
        told(f"“{script.instruction}”: {', '.join(parts.running)} are running")
        tasks = options.out / "tasks.yaml"
        tasks.write_text(registry_of(script), encoding="utf-8")
        page = (
            ()
            if options.page is None
            else ("--dashboard", "--port", str(options.page), "--calibration", "omy_f3m_sim")
        )
        client = parts.begin(
            "client", "robot", "run", "--tasks", str(tasks), "--instruction", script.instruction,
            "--server", policy, "--regions", masks, "--session", SESSION, "--seconds",
            str(options.seconds), "--out", str(options.out / "run"),
            "--client.watch.frozen-after-s", "None", *page,
        )  # fmt: skip
        while client.poll() is None:
            parts.check()
            watcher.step()
        if client.returncode:
            raise RainError(f"the client failed: {parts.last_line('client')}")
        with closing(PolicyClient(policy)) as asking:
            figures = asking.metrics()
    return _report(options, parts, watcher, figures, told)


def _report(
    options: DemoOptions,
    parts: Processes,
    watcher: Watcher,
    metrics: str,
    told: Callable[[str], None],
) -> dict[str, Any]:
    simulated = [line for line in parts.lines("sim") if line.startswith('{"success"')]
    end = json.loads(simulated[-1]) if simulated else {"success": False}
    report = {
        "task": options.task,
        "start": options.start,
        "checkpoint": options.checkpoint,
        "success": bool(end["success"]),
        "simulated_arm": end,
        "client": json.loads((options.out / "run" / "figures.json").read_text(encoding="utf-8")),
        "pointed": [
            {"seconds": round(when, 2), "target": target, "view": view}
            for when, target, view in watcher.pointer.pointed
        ],
    }
    (options.out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (options.out / "serve.metrics.txt").write_text(metrics, encoding="utf-8")
    told(f"{options.out / 'demo.mp4'}, {options.out / 'report.json'}")
    return report


class Processes:
    """The stack's processes, each with a log OUT/NAME.log; ended together."""

    def __init__(self, out: Path) -> None:
        """Logs go to ``out``."""
        self._out = out
        self.running: dict[str, subprocess.Popen] = {}

    def begin(self, name: str, *arguments: str) -> subprocess.Popen:
        """Start ``rain`` with these arguments."""
        with (self._out / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [*RAIN, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        return self.running[name]

    def check(self) -> None:
        """RainError where one that serves has ended."""
        for name, process in self.running.items():
            if name != "client" and process.poll() is not None:
                raise RainError(f"{name} ended early: {self.last_line(name)}")

    def lines(self, name: str) -> list[str]:
        """What a process has said so far."""
        return (self._out / f"{name}.log").read_text(errors="replace").splitlines()

    def last_line(self, name: str) -> str:
        """For people, where it failed."""
        return (self.lines(name) or ["it said nothing"])[-1]

    def end(self) -> None:
        """Ask all to end; kill those that do not within 10 s."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Watcher:
    """Films the cameras with the session's regions, and points as an operator would."""

    def __init__(
        self, script: TaskScript, options: DemoOptions, masks: str, parts: Processes
    ) -> None:
        """Wait until the arm, the mask server and the policy server are there."""
        self._script, self._parts = script, parts
        self._events = options.out / "run" / "events.jsonl"
        robot = load_robot("omy_f3m")
        views = tuple(robot.cameras)
        self._stack = ExitStack()
        self._arm = RosPort(robot, views, options.image_size, claim=False)
        self._stack.callback(self._arm.close)
        self._regions = RosRegions(views)
        self._stack.callback(self._regions.close)
        self._until("sim", lambda: len(self._arm.read().images) == len(views))
        self._until("serve", lambda: any("tcp://" in line for line in parts.lines("serve")))
        client = MaskClient(
            masks, session=SESSION, timeout=STARTING_S, loop={"frozen_after_s": None}
        )
        self._stack.callback(client.close)
        self.pointer = Pointer(client)
        self._film = VideoWriter(options.out / "demo.mp4", FILM_HZ)
        self._begin = self._next = time.monotonic()
        self._subtask, self._done = 0, False
        self._heard = 0

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        self._film.__exit__(*error)  # type: ignore[arg-type]
        self._stack.close()

    def step(self) -> None:
        """Wait for the film's next frame, look, point, and draw it."""
        self._next += 1 / FILM_HZ
        time.sleep(max(0.0, self._next - time.monotonic()))
        now = time.monotonic() - self._begin
        self._hear()
        look = None
        if not self._done:
            target = self._script.subtasks[self._subtask].target
            try:
                look = self.pointer.step(target, self._regions.labels(), now)
            except ServerError:
                look = None  # the server is busy or away; the client's log says what it meant
        self._film.add(self._draw(look, now))

    def _hear(self) -> None:
        """Which subtask the client is at, by its own log."""
        if not self._events.exists():
            return
        with self._events.open("rb") as log:
            log.seek(self._heard)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]  # the last line may be half written
        self._heard += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["event"] == "transition":
                self._subtask = event["subtask"]
            self._done |= event["event"] == "finished"

    def _draw(self, look: Look | None, now: float) -> NDArray[np.uint8]:
        images = self._arm.read().images
        pictures = []
        for view, image in images.items():
            step = VIEW_PIXELS // image.shape[0] or 1
            large = image.repeat(step, 0).repeat(step, 1)
            if look is not None and view in look.regions:
                large = tint(large, look.regions[view])
            pictures.append(label(large, view))
        row = np.concatenate(pictures, axis=1)
        row = row[:, : row.shape[1] // 2 * 2]
        at = len(self._script.subtasks) if self._done else self._subtask
        said = look.pause if look is not None and look.pause else ""
        panel = draw_panel(self._script.subtasks, at, None, f"{now:.1f} s  {said}", row.shape[1])
        frame = np.concatenate([draw_header(self._script.instruction, row.shape[1]), row, panel])
        return frame[: frame.shape[0] // 2 * 2]

    def _until(self, name: str, there: Callable[[], bool]) -> None:
        end = time.monotonic() + STARTING_S
        while not there():
            self._parts.check()
            if time.monotonic() > end:
                raise RainError(f"{name} does not answer: {self._parts.last_line(name)}")
            time.sleep(0.1)


def registry_of(script: TaskScript) -> str:
    """A task registry (YAML) of one task."""
    subtasks = [
        {"action_type": s.action_type, "target": s.target, "phrase": s.target.replace("_", " ")}
        for s in script.subtasks
    ]
    return json.dumps([{"instruction": script.instruction, "subtasks": subtasks}], indent=1) + "\n"


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _own_domain() -> Iterator[None]:
    """A ROS domain of one's own, so that no other arm hears; for this process and its children."""
    before = os.environ.get("ROS_DOMAIN_ID")
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(110, 220))
    try:
        yield
    finally:
        if before is None:
            del os.environ["ROS_DOMAIN_ID"]
        else:
            os.environ["ROS_DOMAIN_ID"] = before
