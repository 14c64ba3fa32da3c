"""The control loop's contract (Appendix C.3): regions for every frame, or a reason to pause.

At the boundary of a subtask its target is grounded once, in what the cameras show then, and the
segmenter is seeded; from there on it follows the target frame by frame. Nothing here raises into
the control loop: whatever goes wrong is a view without a region and a note that says why, and where
no view is left, a reason to hold the robot still.

    loop = RegionLoop(segmenter, grounder)
    loop.begin("potato_1", "the potato")
    look = loop.look(images, stamp)      # every frame
    look.regions, look.pause, look.notes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.perception.agreement import disagreement
from rain.perception.cameras import Cameras
from rain.perception.prompts import Prompt
from rain.perception.reasoner.protocols import Grounder
from rain.perception.segmenter import Frame, Segmenter, Tracked, TrackedRegion
from rain.types import Look, RainError, one_line

Submit = Callable[[Callable[[], Mapping[str, Prompt]]], "Future[Mapping[str, Prompt]]"]
"""Runs a call somewhere and gives its future."""


@dataclass(frozen=True)
class LoopOptions:
    """When a region counts, and when the robot pauses. Seconds are those of the frames' stamps."""

    max_age_s: float = 0.5
    """Age beyond which a region is not given to the policy: the view then has none."""
    lost_after_s: float = 1.0
    """How long no view may have a region before the robot pauses."""
    ground_timeout_s: float = 60.0
    """How long grounding may take before it counts as failed."""
    frozen_after_s: float | None = 1.0
    """A camera that shows the same picture to the bit for so long counts as frozen; None: never,
    as in a simulator, where nothing moves by itself."""
    late_every_s: float | None = None
    """How often a view that did not show the target at the boundary is grounded again; None: never,
    as in the paper."""
    agree: float = 0.1
    """Likeness of colours, in [0, 1], below which two views show different things."""

    def __post_init__(self) -> None:
        for name in ("max_age_s", "lost_after_s", "ground_timeout_s"):
            if getattr(self, name) < 0:
                raise RainError(f"{name}: expected 0 or more seconds, got {getattr(self, name)}")


class RegionLoop:
    """Grounds once a subtask, follows in between, and never raises from ``look``."""

    def __init__(
        self,
        segmenter: Segmenter,
        grounder: Grounder,
        options: LoopOptions | None = None,
        *,
        submit: Submit | None = None,
    ) -> None:
        """``submit``: where grounding runs; by default ``look`` waits for it. On a robot give a
        ``ThreadPoolExecutor``'s, so that the loop keeps its rate and pauses the robot meanwhile.
        """
        self._segmenter, self._grounder = segmenter, grounder
        self._options = options or LoopOptions()
        self._submit = submit or _at_once
        self._cameras = Cameras(self._options.frozen_after_s)
        self._target = self._phrase = ""
        self._grounding: _Grounding | None = None
        self._wanted = False
        self._failure: str | None = None
        self._by_hand = False
        self._seeded: set[str] = set()
        self._refused: set[str] = set()
        self._latest: dict[str, TrackedRegion] = {}
        self._clicks: dict[str, Prompt] = {}
        self._seen_at = self._grounded_at = float("-inf")

    @property
    def knows_targets(self) -> bool:
        """Whether the segmenter knows targets by name; it then follows nothing else."""
        return bool(getattr(self._segmenter, "knows_targets", False))

    # --- what the control loop and the operator ask for ------------------------------------------

    def begin(self, target: str, phrase: str, *, ground: bool = True) -> None:
        """A subtask begins: forget the last target, ground this one in the next frame.

        ground: False where an operator will point at it.
        """
        self._forget()
        self._target, self._phrase, self._wanted = target, phrase, ground

    def restart(self) -> None:
        """Forget everything: another episode begins, whose stamps may be earlier."""
        self._forget()
        self._cameras = Cameras(self._options.frozen_after_s)
        self._target, self._phrase, self._wanted = "", "", False

    def ground_again(self) -> None:
        """Ground the present target once more, e.g. after a pause."""
        self.begin(self._target, self._phrase)

    def clear(self) -> None:
        """Forget where the present target is, until an operator points at it or it is grounded."""
        self.begin(self._target, self._phrase, ground=False)

    def click(self, view: str, prompt: Prompt) -> None:
        """An operator points at the target in the next frame; other views are left as they are."""
        if self._wanted or self._grounding is not None:
            # Whoever points need not wait for a model, nor be overruled by it.
            self._wanted, self._grounding = False, None
        self._failure = None
        self._clicks[view] = prompt

    def point(self, view: str, prompt: Prompt, frame: Frame) -> NDArray[np.bool_]:
        """An operator points at the target in a frame that was looked at; its region there, (H, W).

        RainError where the prompt does not fit or no subtask has begun; nothing is then changed.
        """
        if not self._target:
            raise RainError("no subtask has begun: there is nothing to point at")
        found = self._segmenter.seed(self._target, frame, {view: prompt})
        self._wanted, self._grounding, self._failure = False, None, None
        self._refused.discard(view)
        self._latest.update(found)
        self._seeded.update(found)
        self._seen_at = max(self._seen_at, frame.stamp)
        return found[view].region

    def propose(self, name: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        """Follow what an operator points at in a frame that was seen, beside the present target.

        Nothing is told of it before ``accept``. RainError where a prompt does not fit.
        """
        return self._segmenter.seed(name, frame, prompts)

    def accept(self, name: str, tracked: Tracked) -> None:
        """What was proposed is the target from now on, in the views that it was pointed at in."""
        self._segmenter.forget(self._target)
        self._grounding, self._failure, self._wanted = None, None, False
        self._target = self._phrase = name
        self._seeded, self._refused, self._clicks = set(tracked), set(), {}
        self._latest = dict(tracked)
        self._seen_at = max((t.stamp for t in tracked.values()), default=self._seen_at)
        # No words find it: views that it was not pointed at in are not grounded later either.
        self._by_hand = True
        self._cameras.begin()

    def withdraw(self, name: str) -> None:
        """Forget what was proposed."""
        self._segmenter.forget(name)

    def look(self, images: Mapping[str, Any], stamp: float) -> Look:
        """What is known of the target in this frame. Never raises."""
        notes: list[str] = []
        try:
            frame = self._cameras.check(images, stamp, notes)
            if frame is not None:
                self._ground(frame, notes)
                self._follow(frame, notes)
        except Exception as error:
            self._failure = f"perception failed: {one_line(error)}"
        return self._told(stamp, notes)

    # --- grounding -------------------------------------------------------------------------------

    def _ground(self, frame: Frame, notes: list[str]) -> None:
        """Ask where grounding is due, and take an answer that has come."""
        if self._wanted and frame.images:
            self._wanted = False
            self._ask(frame)
        elif self._late(frame):
            self._ask(Frame(self._unseeded(frame), frame.stamp))
        grounding = self._grounding
        if grounding is None:
            return
        if grounding.future.done():
            self._grounding = None
            self._take(grounding, notes)
        elif frame.stamp - grounding.frame.stamp > self._options.ground_timeout_s:
            self._grounding = None
            self._fail(
                f"grounding {self._phrase!r} failed: no answer within "
                f"{self._options.ground_timeout_s:g} s"
            )

    def _ask(self, frame: Frame) -> None:
        self._grounded_at = frame.stamp
        target, phrase = self._target, self._phrase
        future = self._submit(lambda: self._grounder.ground(target, phrase, frame))
        self._grounding = _Grounding(frame, future)

    def _late(self, frame: Frame) -> bool:
        every = self._options.late_every_s
        return (
            every is not None
            and not self._by_hand
            and bool(self._seeded)
            and self._grounding is None
            and bool(self._unseeded(frame))
            and frame.stamp - self._grounded_at >= every
        )

    def _unseeded(self, frame: Frame) -> dict[str, NDArray[np.uint8]]:
        known = self._seeded | self._refused
        return {view: image for view, image in frame.images.items() if view not in known}

    def _take(self, grounding: _Grounding, notes: list[str]) -> None:
        """Seed the segmenter with an answer, in the frame that was asked about."""
        late = bool(self._seeded)
        try:
            prompts = grounding.future.result()
        except Exception as error:
            self._fail(f"grounding {self._phrase!r} failed: {one_line(error)}")
            return
        prompts = self._fitting(prompts, notes)
        if not prompts and not late:
            self._fail(f"grounding {self._phrase!r} failed: no view shows it")
        elif prompts:
            self._seed(grounding.frame, prompts, notes)

    def _fitting(self, prompts: Mapping[str, Prompt], notes: list[str]) -> dict[str, Prompt]:
        fitting = {}
        for view, prompt in prompts.items():
            if self._cameras.resized(view):
                notes.append(f"{view}: its image changed its size while it was grounded")
            else:
                fitting[view] = prompt
        return fitting

    def _seed(self, frame: Frame, prompts: Mapping[str, Prompt], notes: list[str]) -> None:
        """Seed view by view: one whose prompt does not fit must not cost the others."""
        found: Tracked = {}
        for view, prompt in prompts.items():
            try:
                found.update(self._segmenter.seed(self._target, frame, {view: prompt}))
            except RainError as error:
                notes.append(str(error))
        if not self._seeded:
            for view, reason in disagreement(frame, found, self._options.agree).items():
                notes.append(reason)
                self._refused.add(view)
                del found[view]
        self._latest.update(found)
        self._seeded.update(found)
        if found:
            self._seen_at = max(self._seen_at, frame.stamp)
        elif not self._seeded:
            self._fail(f"grounding {self._phrase!r} failed: {'; '.join(notes)}")

    def _fail(self, reason: str) -> None:
        # A late look at another view that fails takes nothing from those that follow already.
        if not self._seeded:
            self._failure = reason

    # --- following -------------------------------------------------------------------------------

    def _follow(self, frame: Frame, notes: list[str]) -> None:
        clicked = {view: p for view, p in self._clicks.items() if view in frame.images}
        if clicked:
            self._clicks = {v: p for v, p in self._clicks.items() if v not in clicked}
            self._seed(frame, clicked, notes)
        if not self._seeded:
            return
        found = self._segmenter.follow(frame).get(self._target, {})
        for view, region in found.items():
            if view in self._seeded:
                self._latest[view] = region
                if region.found:
                    self._seen_at = max(self._seen_at, region.stamp)

    def _told(self, stamp: float, notes: list[str]) -> Look:
        given: dict[str, TrackedRegion] = {}
        for view, region in self._latest.items():
            age = stamp - region.stamp
            if not region.found:
                notes.append(f"{view}: the target is not to be seen (score {region.score:.2f})")
            elif age > self._options.max_age_s:
                notes.append(f"{view}: its region is {age:.1f} s old")
            elif region.region.shape != self._cameras.shape(view):
                notes.append(f"{view}: its region has another size than its image")
            else:
                given[view] = region
        pause = self._pause(stamp, bool(given))
        if pause is None and not given:
            notes.append(f"no view shows the target since {stamp - self._seen_at:.1f} s")
        return Look(
            stamp,
            {view: r.region for view, r in given.items()} if pause is None else {},
            {view: r.stamp for view, r in given.items()},
            {view: r.score for view, r in given.items()},
            pause,
            tuple(notes),
        )

    def _pause(self, stamp: float, seen: bool) -> str | None:
        if self._failure is not None:
            return self._failure
        if not self._target:
            return "no subtask has begun"
        if seen:
            return None
        if self._wanted:
            return "no camera gives an image"
        if not self._seeded:
            waits = self._grounding is not None
            return f"grounding {self._phrase!r}" if waits else f"nobody points at {self._phrase!r}"
        missing = stamp - self._seen_at
        if missing > self._options.lost_after_s:
            return f"the target {self._phrase!r} is lost"
        return None

    def _forget(self) -> None:
        try:
            self._segmenter.forget()
        except Exception as error:
            self._failure = f"perception failed: {one_line(error)}"
        else:
            self._failure = None
        self._grounding, self._by_hand = None, False
        self._seeded, self._refused = set(), set()
        self._latest, self._clicks = {}, {}
        self._seen_at = self._grounded_at = float("-inf")
        self._cameras.begin()


@dataclass(frozen=True)
class _Grounding:
    """A question that was asked, and the frame that it is about."""

    frame: Frame
    future: Future[Mapping[str, Prompt]]


def _at_once(call: Callable[[], Mapping[str, Prompt]]) -> Future[Mapping[str, Prompt]]:
    future: Future[Mapping[str, Prompt]] = Future()
    try:
        future.set_result(call())
    except Exception as error:
        future.set_exception(error)
    return future
