"""The operator's page: glass-to-glass latency, frames a second, and the emergency stop's latency.

The simulated arm's three views are rendered beforehand and shown at 30 Hz; pages in a real browser
on the same machine draw them. Latency is from the moment the images are handed over (before they
are compressed) to the moment the last of a frame's views is drawn on its canvas. The stop's is from
the key event in the page to the call that holds the arm, while frames go on.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from common import report

from rain.bench.policies.expert import OmyExpert
from rain.dashboard.board import Board
from rain.dashboard.browser import LIVE, browsing
from rain.dashboard.frames import ShownView
from rain.dashboard.running import serving
from rain.worlds.omy import OmyWorld

WATCH = """() => { window.late = []; document.addEventListener("rain-frame", (event) =>
window.late.push([event.detail.number, Date.now() - 1000 * event.detail.stamp])); }"""
STOP = """() => { const now = Date.now(); dispatchEvent(new KeyboardEvent("keydown",
{ key: "Escape" })); return now; }"""


@dataclass(frozen=True)
class Options:
    """Measure the operator's page."""

    viewers: tuple[int, ...] = (1, 5)
    """Pages at a time."""
    size: int = 336
    """Side of the views."""
    rate: float = 30.0
    """Frames a second that are shown."""
    seconds: float = 15.0
    """Of each measurement."""
    stops: int = 100
    """Emergency stops of each."""
    json: Path | None = None
    """Write the figures here."""


class Film:
    """A session that shows frames made beforehand, and notes when it was stopped."""

    about: Mapping[str, Any] = {"title": "film", "kind": "rollout", "commands": (), "locked": True}

    def __init__(self, frames: list[dict[str, ShownView]], rate: float) -> None:
        self.board, self.stopped = Board(mode="running"), list[float]()
        self._frames, self._rate, self._over = frames, rate, threading.Event()

    def run(self) -> None:
        due, number = time.monotonic(), 0
        facts = {"progress": None, "actions": {"until": 40, "values": [[0.1] * 7] * 40}}
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self.board.show(self._frames[number % len(self._frames)], {"step": number, **facts})
            number, due = number + 1, max(due, time.monotonic() - 0.5) + 1 / self._rate

    def do(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def stop(self, why: str) -> None:
        self.stopped.append(time.time())

    def close(self) -> None:
        self._over.set()


def film(size: int, count: int = 60) -> list[dict[str, ShownView]]:
    world, frames = OmyWorld("omy", 0, image_size=size), []
    plan = np.linspace([size / 4, size / 3], [size / 2, size / 2], 8)
    for action, index in OmyExpert(0).actions(world, world.script):
        world.step(action)
        target = world.script.subtasks[index].target
        frames.append({
            view: ShownView(world.render(view, size), world.regions([target], view)[0], plan)
            for view in world.conventions.views
        })  # fmt: skip
        if len(frames) == count:
            break
    world.close()
    return frames


def measure(browser: Any, address: str, viewers: int, options: Options, session: Film) -> dict:
    pages = [browser.new_page(viewport={"width": 1440, "height": 900}) for _ in range(viewers)]
    for page in pages:
        page.goto(address, wait_until="domcontentloaded")
        page.wait_for_selector(LIVE)
    pages[0].wait_for_timeout(1500)
    for page in pages:
        page.evaluate(WATCH)
    began, first = time.monotonic(), session.board.frame.number
    pages[0].wait_for_timeout(1000 * options.seconds)
    late = [page.evaluate("() => window.late") for page in pages]
    passed, shown = time.monotonic() - began, session.board.frame.number - first
    waits = []
    for i in range(options.stops):
        pages[i % viewers].wait_for_timeout(40)
        before = len(session.stopped)
        pressed = pages[i % viewers].evaluate(STOP)
        while len(session.stopped) == before:
            time.sleep(0.001)
        waits.append(1000 * session.stopped[before] - pressed)
    for page in pages:
        page.close()
    every = np.concatenate([[ms for _, ms in one] for one in late])
    return {
        "viewers": viewers,
        "frames/s shown": shown / passed,
        "frames/s seen, worst viewer": min(map(len, late)) / passed,
        "latency p50 ms": float(np.percentile(every, 50)),
        "p99 ms": float(np.percentile(every, 99)),
        "stop p50 ms": float(np.percentile(waits, 50)),
        "stop p99 ms": float(np.percentile(waits, 99)),
        "stop max ms": float(np.max(waits)),
    }


def main() -> None:
    options = tyro.cli(Options)
    session = Film(film(options.size), options.rate)
    threading.Thread(target=session.run, daemon=True).start()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(session, Path(folder) / "audit.jsonl") as address,
        browsing() as browser,
    ):
        rows = [measure(browser, address, n, options, session) for n in options.viewers]
        session.close()
    report(f"three views of {options.size} px on the operator's page", rows, options.json)


if __name__ == "__main__":
    main()
