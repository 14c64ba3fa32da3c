"""The paper's causal test: same scene, same checkpoint, same subtask; another region, by a click.

In each scene every candidate is clicked in turn, on the real page in a real browser. The scene,
the policy's noise and everything before the click are the same each time, so that what the arm then
does otherwise, the clicked region did. A trial is a hit where the executed primitive reached the
clicked target: a grasp holds it, a release leaves the thing there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.bench.episode import RolloutConfig
from rain.bench.operator import Between, Order
from rain.bench.protocols import PolicySource
from rain.bench.rollouts import rollout
from rain.dashboard.browser import Operating, browsing
from rain.dashboard.rollout_session import RolloutOptions, RolloutSession
from rain.dashboard.running import serving
from rain.perception.truth import point_on
from rain.types import RainError, Subtask, TaskScript

SMALLEST = 12
"""Pixels of a region below which a person could hardly click it; such a candidate is left out."""
PATIENCE_S = 300.0


@dataclass(frozen=True)
class CausalConfig:
    """What is tested. subtask: index of the one that is retargeted; scenes: how many init states,
    from ``first``; pixels: side of the views; out: folder of the audit log."""

    subtask: int = 0
    scenes: int = 1
    first: int = 0
    pixels: int = 336
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    out: Path = Path("runs/causal")


@dataclass(frozen=True)
class CausalTrial:
    """One click and what came of it.

    shown: what the page asked to confirm. reached: what the primitive reached, or None. path:
    (n, 3) m, the end-effector from the click on; spot: (2,) pixels, the click.
    """

    scene: int
    action_type: str
    clicked: str
    view: str
    spot: tuple[float, float]
    shown: str
    reached: str | None
    steps: int
    path: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def hit(self) -> bool:
        """Whether the clicked target was reached."""
        return self.reached == self.clicked


@dataclass(frozen=True)
class Scene:
    """A scene as it was when it was clicked: image (S, S, 3) of its first view, where in it the
    target is (pixels, or None where it is not to be seen), and the view's projection."""

    image: NDArray[np.uint8]
    target: tuple[float, float] | None
    project: Callable[[NDArray], NDArray] = field(repr=False)


def causal_test(
    world: Any, policies: PolicySource, config: CausalConfig
) -> Iterator[tuple[CausalTrial, Scene]]:
    """Click through the candidates of every scene; yields each trial as it ends.

    RainError where the world has no such subtask or nothing to choose from.
    """
    if not 0 <= config.subtask < len(world.script.subtasks):
        raise RainError(
            f"subtask {config.subtask}: “{world.script.instruction}” has "
            f"{len(world.script.subtasks)}, counted from 0"
        )
    shown = RolloutOptions(
        config.pixels, every=4, speed=0.0, paused=config.subtask == 0,
        pause_at=config.subtask or None,
    )  # fmt: skip
    session = RolloutSession("causal test", shown)
    with (
        serving(session, config.out / "audit.jsonl") as address,
        _Clicker(address, session.close) as clicker,
    ):
        try:
            for number in range(config.first, config.first + config.scenes):
                yield from _scene(world, policies, config, session, clicker, number)
        finally:
            session.close()


def _scene(
    world: Any, policies: PolicySource, config: CausalConfig, session: RolloutSession,
    clicker: _Clicker, number: int,
) -> Iterator[tuple[CausalTrial, Scene]]:  # fmt: skip
    """Click each candidate of one scene."""
    for target in candidates(world, config.subtask):
        world.reset(init_state=number)
        aim = _Aim(session, clicker, config, target)
        rollout(world, policies(number), world.script, config.rollout, operator=aim)
        clicker.check()
        if aim.click is None:
            continue  # it was not to be seen, or its subtask never came
        clicked = aim.click
        trial = CausalTrial(
            number, aim.action_type, target, clicked.view, (clicked.x, clicked.y),
            clicker.shown(), aim.reached, len(aim.path), np.array(aim.path),
        )  # fmt: skip
        assert aim.scene is not None
        yield trial, aim.scene


def candidates(world: Any, subtask: int) -> list[str]:
    """What the subtask could act on in this world: what can be grasped, or the places."""
    asked: Subtask = world.script.subtasks[subtask]
    graspable = world.graspable()
    if asked.action_type == "grasp":
        return sorted(graspable)
    if asked.action_type != "release":
        raise RainError(f"the causal test clicks for grasps and releases, not for {asked}")
    return sorted(
        name for name in world.pointed_at() if name not in graspable or name == asked.target
    )


@dataclass(frozen=True)
class _Click:
    """Where to click: pixel of a view, once ``frame`` is on the screen."""

    view: str
    x: float
    y: float
    size: int
    frame: int


class _Aim:
    """The session's operator, and beside it an observer who knows the scene: says where to click,
    and notes where the arm goes and what it reaches."""

    def __init__(
        self, session: RolloutSession, clicker: _Clicker, config: CausalConfig, target: str
    ) -> None:
        self._session, self._clicker, self._config = session, clicker, config
        self._target = target
        self.click: _Click | None = None
        self.scene: Scene | None = None
        self.action_type = ""
        self.path: list[NDArray] = []
        self.reached: str | None = None
        self._aimed = False
        self._held: str | None = None

    def between(self, now: Between) -> Order:
        """Aim where the subtask begins; end where the outcome is known."""
        self._clicker.check()
        due = not self._aimed and now.driver.index == self._config.subtask
        if due and not self._find(now):
            return "stop"
        if self.click is not None:
            self.path.append(now.world.ee_pose()[0].copy())
            held = now.world.held_object()
            if self.action_type == "grasp" and held is not None:
                self.reached = held
                return "stop"
        return self._session.between(now)

    def ended(self, now: Between) -> None:
        """See where a released thing lies."""
        if self.click is not None and self.action_type == "release":
            self.reached = next(
                (p for p in candidates(now.world, self._config.subtask) if self._lies(now, p)), None
            )
        self._session.ended(now)

    def _find(self, now: Between) -> bool:
        """Say where to click; False where the target is in no view."""
        world, size = now.world, self._config.pixels
        self._aimed, self._held = True, world.held_object()
        self.action_type = now.driver.subtask.action_type
        regions = {v: world.regions([self._target], v, size)[0] for v in world.conventions.views}
        view = max(regions, key=lambda v: regions[v].sum())
        if regions[view].sum() < SMALLEST:
            return False
        frame = self._session.board.frame
        self.click = _Click(view, *point_on(regions[view]), size, frame.number + 1 if frame else 1)
        main = world.conventions.views[0]
        shown = point_on(regions[main]) if regions[main].any() else None
        self.scene = Scene(
            world.render(main, size), shown, lambda points: world.project(points, main, size)
        )
        self._clicker.ask(self.click)
        return True

    def _lies(self, now: Between, place: str) -> bool:
        if self._held is None:
            return False
        subtasks = (Subtask("grasp", self._held), Subtask("release", place))
        return bool(now.world.script_success(TaskScript("", subtasks)))


class _Clicker:
    """A browser in a thread of its own, which clicks when it is asked to."""

    def __init__(self, address: str, failed: Callable[[], None]) -> None:
        """failed: called where the browser fails, so that nobody waits for it."""
        self._address, self._failed = address, failed
        self._asked: queue.Queue[_Click | None] = queue.Queue()
        self._shown: queue.Queue[str] = queue.Queue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="clicker", daemon=True)

    def __enter__(self) -> _Clicker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.put(None)
        self._thread.join(20)

    def ask(self, click: _Click) -> None:
        """Click there as soon as the page stands still."""
        self._asked.put(click)

    def shown(self) -> str:
        """What the page asked to confirm after the last click."""
        return self._shown.get(timeout=PATIENCE_S)

    def check(self) -> None:
        """Raise what went wrong in the browser."""
        if self._error is not None:
            raise RainError(f"the browser failed: {self._error}") from self._error

    def _run(self) -> None:
        try:
            with browsing() as browser:
                page = browser.new_page(viewport={"width": 1440, "height": 1000})
                operating = Operating(page, self._address, PATIENCE_S)
                while (click := self._asked.get()) is not None:
                    self._click(operating, click)
        except BaseException as error:
            self._error = error
            self._failed()

    def _click(self, operating: Operating, click: _Click) -> None:
        operating.wait_for_mode("paused")
        operating.wait_for_frame(click.frame)
        shown = operating.point(click.view, click.x, click.y, click.size)
        operating.confirm()
        operating.page.click("#resume")
        self._shown.put(shown)
