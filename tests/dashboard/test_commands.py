"""Commands from other threads: in order, few, each answered."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from dashboard_fakes import wait_for

from rain.dashboard.commands import MOST, Commands, number, text, whole
from rain.types import RainError


def test_answers_come_from_the_thread_that_acts():
    commands, here = Commands(), threading.get_ident()
    with ThreadPoolExecutor(1) as others:
        asked = others.submit(commands.ask, "point", {"x": 1})
        wait_for(lambda: commands.waiting)
        assert commands.answer(lambda c, a: {"got": [c, a["x"], threading.get_ident()]}) == 1
        assert asked.result(5) == {"got": ["point", 1, here]}
        assert commands.answer(lambda c, a: {}) == 0


def test_a_refusal_is_an_answer_and_a_bug_is_both():
    commands = Commands()

    def refuse(command, arguments):
        raise RainError("no") if command == "a" else ValueError("broken")

    with ThreadPoolExecutor(2) as others:
        first = others.submit(commands.ask, "a", {})
        wait_for(lambda: commands.waiting)
        commands.answer(refuse)
        with pytest.raises(RainError, match=r"^no$"):
            first.result(5)
        second = others.submit(commands.ask, "b", {})
        wait_for(lambda: commands.waiting)
        with pytest.raises(ValueError, match="broken"):
            commands.answer(refuse)
        with pytest.raises(RainError, match="b failed: broken"):
            second.result(5)


def test_a_full_queue_refuses_at_once_and_what_nobody_takes_is_taken_back():
    commands = Commands(answer_s=0.3)
    with ThreadPoolExecutor(MOST) as others:
        asked = [others.submit(commands.ask, f"{i}", {}) for i in range(MOST)]
        wait_for(lambda: commands._queue.qsize() == MOST)
        with pytest.raises(RainError, match="waiting already"):
            commands.ask("one more", {})
        for one in asked:
            with pytest.raises(RainError, match="nobody answered"):
                one.result(5)
    done: list[str] = []
    commands.answer(lambda command, _: done.append(command) or {})
    assert done == []  # too late: whoever asked was told that it was not done


def test_arguments_are_checked():
    assert number({"x": 3}, "x") == 3.0
    assert whole({"x": 3.0}, "x") == 3
    assert text({"t": "  hi "}, "t") == "hi"
    for bad in (None, "3", True, float("nan"), float("inf")):
        with pytest.raises(RainError, match="x: expected a number"):
            number({"x": bad}, "x")
    with pytest.raises(RainError, match="whole"):
        whole({"x": 1.5}, "x")
    for bad in (None, "", "  ", "a" * 501, 7):
        with pytest.raises(RainError, match="expected a text"):
            text({"t": bad}, "t")
