"""Playing chunks: which action is played in which tick, against arithmetic on tick numbers."""

from __future__ import annotations

import numpy as np
import pytest

from rain.robot.chunks import ChunkPlayer, PlayOptions, soft_mask
from rain.types import RainError


def chunk(first: float) -> np.ndarray:
    """Actions that say which they are: first, first + 1, ... in every joint."""
    return first + np.arange(16.0)[:, None] * np.ones(7)


def player(**options):
    return ChunkPlayer(PlayOptions(**{"seam": "cut", **options}))


def play(player, ticks):
    return [None if (a := player.action(t)) is None else a[0] for t in ticks]


def test_an_answer_at_once_is_played_from_its_first_action():
    one = player()
    assert one.put(chunk(100), 5, 5).dropped == 0
    assert play(one, range(5, 21)) == [100 + n for n in range(16)]
    assert one.action(21) is None


def test_actions_whose_time_has_passed_are_dropped():
    one = player()
    one.put(chunk(0), 0, 0)
    played = play(one, range(10))
    # Asked in tick 10, answered in tick 13: action k of the new chunk is for tick 10 + k.
    played += play(one, range(10, 13))
    joined = one.put(chunk(100), 10, 13)
    played += play(one, range(13, 26))
    assert joined.dropped == 3
    assert played == [*range(13), *(100 + k for k in range(3, 16))]


def test_a_tick_that_was_left_out_drops_its_action():
    one = player()
    one.put(chunk(0), 0, 0)
    assert play(one, [0, 1, 4]) == [0, 1, 4]


def test_ticks_in_which_the_arm_held_drop_nothing():
    one = player()
    # Nothing played while the first answer came: the arm is where it was observed.
    assert one.put(chunk(0), 0, 9).dropped == 0
    assert play(one, [9, 10]) == [0, 1]
    # Observed in 20, played to 24, starved until 30: five actions have passed.
    assert play(one, range(11, 25)) == list(range(2, 16))
    assert play(one, range(25, 30)) == [None] * 5
    assert one.put(chunk(100), 20, 30).dropped == 5
    assert play(one, [30]) == [105]


def test_an_answer_older_than_the_chunk_that_plays_changes_nothing():
    one = player()
    one.put(chunk(0), 10, 10)
    play(one, [10])
    assert one.put(chunk(500), 8, 11).dropped == 16
    assert play(one, [11]) == [1]


def test_an_answer_that_is_wholly_late_changes_nothing():
    one = player()
    one.put(chunk(0), 0, 0)
    play(one, range(16))
    one.put(chunk(50), 10, 16)
    play(one, range(16, 27))
    # 17 actions were played since tick 10.
    assert one.put(chunk(500), 10, 27).dropped == 16


class TestAsking:
    def test_every_ten_ticks_where_answers_come_at_once(self):
        one = player()
        one.put(chunk(0), 0, 0)
        assert [t for t in range(16) if one.due(t)] == list(range(10, 16))

    def test_the_spare_actions_bridge_six_ticks_and_no_more(self):
        one, asked, starved, question = player(), [], 0, None
        for tick in range(200):
            if question is not None and tick - question >= 6:
                one.put(chunk(0), question, tick)
                question = None
            if question is None and one.due(tick):
                asked.append(tick)
                question = tick
            starved += one.action(tick) is None and one.playing
        assert starved == 0
        assert set(np.diff(asked)[1:]) == {10}

    def test_slow_answers_are_asked_for_earlier(self):
        one = player()
        one.put(chunk(0), 0, 0)
        play(one, range(9))
        one.put(chunk(0), 0, 9)
        assert one.delay == 9
        assert [t for t in range(16) if one.due(t)] == list(range(7, 16))

    def test_a_look_to_confirm_comes_soon(self):
        one = player()
        one.put(chunk(0), 0, 0)
        assert [t for t in range(16) if one.due(t, soon=1)] == list(range(1, 16))


class TestSeams:
    def joined(self, **options):
        one = player(**options)
        one.put(np.zeros((16, 7)), 0, 0)
        for tick in range(12):
            one.action(tick)
        joined = one.put(np.ones((16, 7)), 10, 12)
        assert joined.jump == 1.0
        return [one.action(tick)[0] for tick in range(12, 26)]

    def test_cut(self):
        assert self.joined(seam="cut") == [1.0] * 14

    def test_blend_goes_over_linearly(self):
        got = self.joined(seam="blend", blend=3)
        np.testing.assert_allclose(got[:5], [0.25, 0.5, 0.75, 1.0, 1.0])
        assert got[4:] == [1.0] * 10

    def test_a_blend_ends_where_the_old_chunk_does(self):
        got = self.joined(seam="blend", blend=15)
        # The old chunk covers ticks 12 to 15.
        np.testing.assert_allclose(got[:4], [1 / 16, 2 / 16, 3 / 16, 4 / 16])
        assert got[4:] == [1.0] * 10

    def test_real_time_chunkings_mask(self):
        got = self.joined(seam="rtc")
        # Black et al. (2025), eq. 5, with d = 2 and H - s = 6.
        c = np.array([(6 - i) / (6 - 2 + 1) for i in (2, 3, 4, 5)])
        np.testing.assert_allclose(1 - np.array(got[:4]), c * (np.exp(c) - 1) / (np.e - 1))
        assert got[4:] == [1.0] * 10

    def test_the_mask_keeps_what_passes_while_the_network_works(self):
        mask = soft_mask(3, 8)
        assert mask[:3].tolist() == [1, 1, 1]
        assert (np.diff(mask[2:]) < 0).all()
        assert len(mask) == 8


@pytest.mark.parametrize(
    "options", [{"execute": 0}, {"execute": 17}, {"seam": "spline"}, {"blend": -1}]
)
def test_options_out_of_range(options):
    with pytest.raises(RainError, match=next(iter(options))):
        PlayOptions(**options)
