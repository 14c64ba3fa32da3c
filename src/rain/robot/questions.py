"""What the loop asks the policy: one question at a time; the answer to any other is dropped."""

from __future__ import annotations

from dataclasses import dataclass

from rain.robot.events import EventLog
from rain.robot.figures import Figures
from rain.robot.ports import PolicyPort
from rain.robot.timing import Beat
from rain.types import Observation, Prediction, one_line


@dataclass(frozen=True)
class Question:
    """number: the port's. tick, asked: when the observation was made and sent, tick and s."""

    number: int
    tick: int
    asked: float


class Questions:
    """Never waits and never raises: what goes wrong is logged, and asked again in a while."""

    def __init__(
        self, policy: PolicyPort, log: EventLog, figures: Figures, late_s: float, retry_s: float
    ) -> None:
        """late_s: a question without an answer for so long is given up. retry_s: between a question
        that failed and the next."""
        self._policy, self._log, self._figures = policy, log, figures
        self._late, self._retry = late_s, retry_s
        self.drop()

    def due(self, now: float) -> bool:
        """Whether none is open, and it is not too early for another."""
        return self._open is None and now >= self._after

    def drop(self) -> None:
        """The open question is of no use any more; another may be asked at once."""
        self._open: Question | None = None
        self._after = float("-inf")

    def ask(self, beat: Beat, observation: Observation, then_wait_s: float = 0.0) -> None:
        """Ask. then_wait_s: the next one no earlier than so long after this."""
        try:
            number = self._policy.ask(observation)
        except Exception as error:
            self.lost(beat, "ask_failed", error=one_line(error))
            return
        self._open = Question(number, beat.tick, beat.now)
        if then_wait_s:
            self._after = beat.now + then_wait_s

    def answer(self, beat: Beat) -> tuple[Question, Prediction] | None:
        """The open question's answer, where it has come."""
        found = None
        try:
            answers = self._policy.poll()
        except Exception as error:
            number = getattr(error, "number", None)
            if number is None or (self._open and number == self._open.number):
                self.lost(beat, "policy_failed", error=one_line(error))
            else:  # a question that was given up long ago
                self._log.add(
                    "answer_dropped", beat.now, beat.tick, number=number, error=one_line(error)
                )
            return None
        for number, prediction in answers:
            question = self._open
            if question is None or number != question.number:
                self._log.add("answer_dropped", beat.now, beat.tick, number=number)
                continue
            self._open = None
            self._figures.answers.add(beat.now - question.asked)
            found = question, prediction
        if self._open is not None and beat.now - self._open.asked > self._late:
            self.lost(beat, "policy_silent", seconds=self._late)
        return found

    def lost(self, beat: Beat, event: str, **facts: object) -> None:
        """The open question will have no answer; ask again in a while."""
        self._open = None
        self._after = beat.now + self._retry
        self._log.add(event, beat.now, beat.tick, **facts)
