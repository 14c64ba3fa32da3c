"""The rollout client (Appendix C.1, C.3): 30 times a second, joint targets for the arm.

The policy is asked while the chunk at hand plays. No exception reaches the loop: what a port raises
is logged and the arm holds; a bug holds the arm until an operator resumes. Whatever is sent has
passed ``rain.robot.safety``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Prompt
from rain.perception.reasoner.protocols import PhrasedScript
from rain.robot.chunks import ChunkPlayer
from rain.robot.client_options import ClientOptions
from rain.robot.controls import Command, Controls
from rain.robot.events import EventLog
from rain.robot.figures import Figures
from rain.robot.moment import Moment
from rain.robot.ports import PolicyPort, Reading, RegionPort, RobotPort
from rain.robot.questions import Question, Questions
from rain.robot.robot import Robot
from rain.robot.safety import Safety
from rain.robot.task import TaskPointer
from rain.robot.timing import Beat, Clock, Pace, SystemClock
from rain.robot.watch import Watchdog, Watched
from rain.types import Look, Observation, Prediction, RainError, one_line


class Decomposes(Protocol):
    """``rain.perception.reasoner.registry.TaskRegistry``."""

    def decompose(self, instruction: str, images: Mapping[str, NDArray[np.uint8]]) -> PhrasedScript:
        """The subtasks of an instruction."""


class RolloutClient:
    """One run of one arm. ``step`` is one tick; ``run`` gives the ticks."""

    def __init__(
        self,
        robot: Robot,
        port: RobotPort,
        policy: PolicyPort,
        regions: RegionPort,
        task: PhrasedScript,
        *,
        options: ClientOptions | None = None,
        clock: Clock | None = None,
        log: EventLog | None = None,
        controls: Controls | None = None,
        registry: Decomposes | None = None,
        shows: Callable[[Moment], None] | None = None,
    ) -> None:
        """ConventionError where robot and policy do not mean the same.

        shows: is told every tick; it must not wait.
        """
        wanted = policy.conventions
        wanted.check(robot.conventions(wanted.views, wanted.image_size), "the policy", robot.name)
        self.options = options or ClientOptions()
        self.controls = controls or Controls()
        self.log = log or EventLog()
        self.figures = Figures()
        self.safety = Safety(robot)
        self.latest: Prediction | None = None
        self.reasons: dict[str, str] = {}
        self._robot, self._port, self._regions = robot, port, regions
        self._clock = clock or SystemClock()
        self._registry, self._shows = registry, shows
        self._views = wanted.views
        self._player = ChunkPlayer(self.options.play)
        watch = self.options.watch
        self._watch = Watchdog(self._views, watch)
        self._questions = Questions(
            policy, self.log, self.figures, watch.policy_s, self.options.retry_s
        )
        self._task = self._pointer(task)
        self._operator: dict[str, str] = {}
        self._finished_at: float | None = None
        self._begun = self._pointed = False

    @property
    def task(self) -> TaskPointer:
        """Where in its task the arm is."""
        return self._task

    # --- the loop ---------------------------------------------------------------------------------

    def run(
        self, seconds: float | None = None, ended: Callable[[], bool] = lambda: False
    ) -> Figures:
        """Tick until the task is done, ``seconds`` have passed or ``ended`` says so; then hold."""
        pace = Pace(self._robot.rate_hz, self._clock)
        begin = self._clock.now()
        beat = Beat(-1, begin)
        try:
            while not ended() and not self._over(beat, begin, seconds):
                beat = pace.wait()
                self.step(beat)
        finally:
            self._send(beat, None, None)
            self.log.add("end", self._clock.now(), beat.tick, **self.figures.counts)
        return self.figures

    def step(self, beat: Beat) -> None:
        """One tick. Never raises."""
        self.figures.begin(beat)
        try:
            self._step(beat)
        except Exception as error:
            self._crash(beat, error)
        self.figures.end(self._clock.now() - beat.now)

    def _over(self, beat: Beat, begin: float, seconds: float | None) -> bool:
        if seconds is not None and beat.now - begin >= seconds:
            return True
        done = self._finished_at is not None and not self.options.stay
        return done and beat.now - (self._finished_at or 0.0) >= self.options.settle_s

    def _step(self, beat: Beat) -> None:
        if beat.jumped is not None:
            self._event(beat, "clock_jumped", seconds=beat.jumped)
            self._watch.restart()
            self._drop()
        if beat.skipped:
            self._event(beat, "ticks_skipped", count=beat.skipped)
        for command in self.controls.take():
            self._obey(beat, command)
        watched = self._watch.check(self._read(beat), beat.now)
        look = self._look(beat, watched)
        self._take(beat)
        self._judge(beat, watched, look)
        self._ask(beat, watched, look)
        wanted = None
        if not self.reasons:
            wanted = self._player.action(beat.tick)
            self.figures.moved(wanted is not None, self._player.playing)
        elif self._asks_on():
            self._player.clear()
        else:
            self._drop()
        sent = self._send(beat, wanted, watched.state)
        if self._shows is not None:
            self._show(beat, watched, look, sent)

    def _asks_on(self) -> bool:
        """Whether the policy is asked although the arm holds: an operator's hold."""
        return set(self.reasons) == {"hold"}

    # --- what comes in ----------------------------------------------------------------------------

    def _read(self, beat: Beat) -> Reading:
        try:
            reading = self._port.read()
        except Exception as error:
            self._event(beat, "robot_failed", error=one_line(error))
            return Reading()
        for fault in reading.faults:
            self._event(beat, "robot_fault", fault=fault)
        return reading

    def _look(self, beat: Beat, watched: Watched) -> Look | None:
        try:
            if not self._begun:
                self._regions.begin(self._task.subtask.target, self._task.phrase)
                self._begun = True
            if watched.images:
                self._regions.look(watched.images, beat.now)
            return self._regions.poll()
        except Exception as error:
            self._event(beat, "regions_failed", error=one_line(error))
            return Look(beat.now, pause=f"the regions failed: {one_line(error)}")

    def _take(self, beat: Beat) -> None:
        """Take the answer to the present question."""
        if (answered := self._questions.answer(beat)) is not None:
            self._accept(beat, *answered)

    def _accept(self, beat: Beat, question: Question, prediction: Prediction) -> None:
        self.latest = prediction
        if "hold" in self._operator:
            return
        completion = prediction.progress.completion
        if self.options.automatic and self._task.update(completion):
            self._left(beat, completion)
            return
        joined = self._player.put(prediction.action_chunk.actions, question.tick, beat.tick)
        self._event(
            beat, "chunk", observed=question.tick, dropped=joined.dropped, jump=joined.jump,
            completion=completion,
        )  # fmt: skip

    # --- tasks ------------------------------------------------------------------------------------

    def _pointer(self, task: PhrasedScript) -> TaskPointer:
        return TaskPointer(task, self.options.threshold, self.options.consecutive)

    def _left(self, beat: Beat, completion: float) -> None:
        """The policy says that a subtask is complete."""
        if self._task.finished:
            self._finished_at = beat.now
            self._event(beat, "finished", completion=completion)
            self._drop()
        else:
            self._begin(beat, "transition", completion=completion)

    def _begin(self, beat: Beat, event: str, **facts: Any) -> None:
        """Another subtask: what is known of the last one says nothing about it."""
        self._finished_at, self._begun, self._pointed = None, False, False
        self._drop()
        subtask = self._task.subtask
        self._event(
            beat, event, subtask=self._task.index, action_type=subtask.action_type,
            target=subtask.target, phrase=self._task.phrase, **facts,
        )  # fmt: skip

    def _obey(self, beat: Beat, command: Command) -> None:
        name, argument = command.name, command.argument
        shown = argument if isinstance(argument, str | int) else None
        self._event(beat, "command", command=name, argument=shown)
        try:
            if name == "e_stop":
                self.safety.e_stop("an operator's")
                self._drop()
            elif name == "release":
                self.safety.release()
                self._operator["pause"] = "released from an e-stop"
            elif name in ("pause", "hold"):
                self._operator[name] = f"an operator's {name}"
            elif name == "resume":
                self._operator.clear()
            elif name == "click":
                self._retarget(beat, argument)
            else:
                self._move(beat, name, argument)
        except Exception as error:
            self._event(beat, "command_refused", command=name, error=one_line(error))

    def _move(self, beat: Beat, name: str, argument: Any) -> None:
        if name == "task":
            if self._registry is None:
                raise RainError("there is no task registry")
            self._task = self._pointer(self._registry.decompose(argument, {}))
        else:
            here = self._task.index
            self._task.go({"next": here + 1, "previous": here - 1}.get(name, argument))
        self._begin(beat, "subtask", by="operator")

    def _retarget(self, beat: Beat, prompts: Mapping[str, Prompt]) -> None:
        """The same subtask with what an operator points at as its target."""
        self._regions.point(prompts)
        self._task.go(self._task.index)
        self._finished_at, self._begun, self._pointed = None, True, True
        self._drop()
        self._event(beat, "retargeted", subtask=self._task.index, views=sorted(prompts))

    # --- judging, asking, sending -----------------------------------------------------------------

    def _judge(self, beat: Beat, watched: Watched, look: Look | None) -> None:
        """Why the arm must hold still now: kind -> one line."""
        reasons = dict(self._operator)
        if self.safety.stopped is not None:
            reasons["e_stop"] = self.safety.stopped
        if self._finished_at is not None:
            reasons["finished"] = "the task is done"
        reasons |= watched.faults
        # A look may be of the target before.
        fault = self._watch.region_fault(look if self._begun else None, beat.now)
        if fault is not None:
            reasons["region"] = fault
        if set(reasons) != set(self.reasons):
            self._event(beat, "hold" if reasons else "go", reasons=reasons)
        self.reasons = reasons

    def _ask(self, beat: Beat, watched: Watched, look: Look | None) -> None:
        if not self._questions.due(beat.now):
            return
        if (self.reasons and not self._asks_on()) or watched.state is None or look is None:
            return
        soon = self.options.confirm_after if self._task.confirming else None
        if not self._player.due(beat.tick, soon):
            return
        try:
            observation = Observation(
                {view: watched.images[view] for view in self._views},
                {view: look.regions[view] for view in self._views if view in look.regions},
                watched.state,
                self._task.subtask.action_type,
            )
        except Exception as error:
            self._questions.lost(beat, "ask_failed", error=one_line(error))
            return
        # In an operator's hold no chunk plays that would say when the next question is due.
        rest = self._player.options.execute / self._robot.rate_hz if self._asks_on() else 0.0
        self._questions.ask(beat, observation, rest)

    def _send(self, beat: Beat, wanted: NDArray | None, state: NDArray | None) -> NDArray | None:
        """What was sent."""
        checked = self.safety.check(wanted, state)
        for clamp in checked.clamps:
            self._event(
                beat, "clamp", what=clamp.what, joints=clamp.joints, wanted=clamp.wanted,
                given=clamp.given,
            )  # fmt: skip
        if checked.target is None:
            return None
        try:
            self._port.send(checked.target)
        except Exception as error:
            self._event(beat, "send_failed", error=one_line(error))
            return None
        return checked.target

    def _show(self, beat: Beat, watched: Watched, look: Look | None, sent: NDArray | None) -> None:
        assert self._shows is not None
        try:
            self._shows(
                Moment(
                    beat.tick, watched.images, {} if look is None else look.regions,
                    self._task.task.script, self._task.index, dict(self.reasons),
                    self.latest, sent,
                    self.figures.answers.last, beat.late, self._pointed,
                )
            )  # fmt: skip
        except Exception as error:
            self._event(beat, "show_failed", error=one_line(error))

    # --- what goes wrong --------------------------------------------------------------------------

    def _drop(self) -> None:
        """What was predicted, and what is asked, is of no use any more."""
        self._player.clear()
        self._questions.drop()

    def _crash(self, beat: Beat, error: Exception) -> None:
        """A bug: hold the arm until an operator resumes."""
        try:
            self._event(beat, "crash", error=one_line(error), traceback=traceback.format_exc())
            self._operator["crash"] = one_line(error)
            self._drop()
            self._send(beat, None, None)
        except Exception as second:  # the loop goes on, and the arm has its last target
            self._event(beat, "crash", error=one_line(second), traceback="")

    def _event(self, beat: Beat, event: str, **facts: Any) -> None:
        self.log.add(event, beat.now, beat.tick, **facts)
