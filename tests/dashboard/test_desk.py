"""One operator at a time; control is handed over, asked for, and lost by who goes away."""

from __future__ import annotations

import pytest

from rain.dashboard.desk import GRACE_S, MOST_VIEWERS, Desk
from rain.types import RainError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock) -> Desk:
    return Desk(clock)


def test_the_first_who_takes_control_has_it(desk):
    one, two = desk.join(None), desk.join(None)
    assert (one.name, two.name, desk.state()["operator"]) == ("viewer 1", "viewer 2", None)
    desk.take(one)
    desk.take(two)
    assert desk.operates(one)
    assert not desk.operates(two)
    assert desk.state() == {
        "viewers": ["viewer 1", "viewer 2"], "operator": "viewer 1", "asks": "viewer 2",
    }  # fmt: skip


def test_control_is_handed_over_by_its_owner_only(desk):
    one, two = desk.join(None), desk.join(None)
    desk.take(one)
    with pytest.raises(RainError, match="only the operator"):
        desk.give(two, "viewer 2")
    with pytest.raises(RainError, match="'viewer 7' is not there"):
        desk.give(one, "viewer 7")
    desk.give(one, "viewer 2")
    assert desk.operates(two)
    desk.give(two, None)
    assert desk.state()["operator"] is None


def test_who_comes_back_in_time_is_who_it_was(desk, clock):
    one = desk.join(None)
    desk.take(one)
    desk.leave(one)
    clock.now += GRACE_S
    assert desk.join(one.key) is one
    assert desk.operates(one)
    desk.leave(one)
    clock.now += GRACE_S + 0.1
    assert desk.state()["operator"] is None
    assert desk.join(one.key) is not one


def test_a_page_open_twice_leaves_once(desk, clock):
    one = desk.join(None)
    desk.join(one.key)
    desk.take(one)
    desk.leave(one)
    clock.now += 10 * GRACE_S
    assert desk.operates(one)


def test_keys_are_secret_and_viewers_few(desk):
    one = desk.join(None)
    assert one.key not in str(desk.state())
    with pytest.raises(RainError, match="reload"):
        desk.of("guessed")
    for _ in range(MOST_VIEWERS - 1):
        desk.join(None)
    with pytest.raises(RainError, match="already"):
        desk.join(None)
