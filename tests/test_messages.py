"""Observations and predictions survive the way through bytes; nothing else comes out of them."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rain.messages import (
    ARRAY,
    DTYPES,
    MessageError,
    conventions_in,
    conventions_out,
    decode,
    encode,
    from_frames,
    look_in,
    look_out,
    observation_in,
    observation_out,
    prediction_in,
    prediction_out,
    to_frames,
)
from rain.types import (
    ActionChunk,
    Conventions,
    Look,
    Observation,
    Plan,
    Prediction,
    Progress,
    RainError,
)

RNG = np.random.default_rng(0)
OBSERVATION = Observation(
    {"agentview": RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)},
    {"agentview": RNG.random((6, 5)) < 0.5},
    RNG.normal(size=7),
    "grasp",
    "pick it up",
    RNG.normal(size=9),
)
LOOK = Look(2.5, {"top": RNG.random((6, 5)) < 0.5}, {"top": 2.25}, {"top": 0.5}, None, ("a note",))
PREDICTION = Prediction(
    ActionChunk(RNG.normal(size=(16, 7))), Plan(RNG.normal(size=(8, 3))), Progress(0.1, 0.2, 1.0)
)


def there_and_back(value):
    return decode(encode(value))


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    )
)
def test_arrays_to_the_bit(array):
    found = there_and_back({"x": [array]})["x"][0]
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


@given(
    st.lists(
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
        ),
        max_size=4,
    )
)
def test_arrays_in_frames_of_their_own(given_arrays):
    frames = to_frames({"x": given_arrays})
    assert len(frames) == 1 + len(given_arrays)
    assert [len(frame) for frame in frames[1:]] == [a.nbytes for a in given_arrays]
    for found, was in zip(from_frames(frames)["x"], given_arrays, strict=True):
        assert (found.dtype, found.shape) == (was.dtype, was.shape)
        assert found.tobytes() == was.tobytes()


def test_arrays_that_are_no_piece_of_memory_are_copied():
    image = OBSERVATION.images["agentview"][::-1, :, ::-1]
    np.testing.assert_array_equal(from_frames(to_frames(image)), image)


def test_an_observation():
    found = observation_in(there_and_back(observation_out(OBSERVATION)))
    for field in dataclasses.fields(Observation):
        was, now = getattr(OBSERVATION, field.name), getattr(found, field.name)
        if isinstance(was, dict):
            assert was.keys() == now.keys()
            was, now = was["agentview"], now["agentview"]
        np.testing.assert_array_equal(was, now)
        assert getattr(was, "dtype", None) == getattr(now, "dtype", None)


def test_an_observation_without_what_is_optional():
    bare = dataclasses.replace(OBSERVATION, instruction="", proprioception=None, regions={})
    fields = observation_out(bare)
    del fields["instruction"], fields["proprioception"]
    found = observation_in(there_and_back(fields))
    assert (found.instruction, found.proprioception, found.regions) == ("", None, {})


def test_a_prediction():
    found = prediction_in(there_and_back(prediction_out(PREDICTION)))
    np.testing.assert_array_equal(found.action_chunk.actions, PREDICTION.action_chunk.actions)
    np.testing.assert_array_equal(found.plan.waypoints, PREDICTION.plan.waypoints)
    assert found.progress == PREDICTION.progress


def test_a_look():
    found = look_in(there_and_back(look_out(LOOK)))
    np.testing.assert_array_equal(found.regions["top"], LOOK.regions["top"])
    assert dataclasses.replace(found, regions=LOOK.regions) == LOOK
    held = Look(3.0, pause="no subtask has begun")
    assert look_in(there_and_back(look_out(held))) == held


def test_conventions():
    conventions = Conventions(("agentview", "wrist"), 128, "a", "b", 20.0)
    assert conventions_in(there_and_back(conventions_out(conventions))) == conventions


class TestBadInput:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xc1",
            encode([1, 2])[:-1],
            encode([1]) + b"\x00",
            pickle.dumps({"a": 1}),
            msgpack.packb(msgpack.ExtType(5, b"")),
            msgpack.packb(msgpack.ExtType(ARRAY, b"")),
            msgpack.packb(msgpack.ExtType(ARRAY, msgpack.packb(("|O", (1,))) + bytes(8))),
            msgpack.packb(msgpack.ExtType(ARRAY, msgpack.packb(("<f4", (2,))) + bytes(4))),
            msgpack.packb(msgpack.ExtType(ARRAY, msgpack.packb(("<f4", (-1, -1))) + bytes(4))),
            msgpack.packb(msgpack.ExtType(ARRAY, msgpack.packb(("<f4", (2**40, 0)))[:3])),
        ],
    )
    def test_bytes_that_are_no_message(self, data):
        with pytest.raises(MessageError, match="not a message"):
            decode(data)

    @pytest.mark.parametrize(
        "frames",
        [
            [],
            [b""],
            to_frames(OBSERVATION.state)[:1],
            [*to_frames(OBSERVATION.state), b"more"],
            [to_frames(OBSERVATION.state)[0], b"short"],
            [encode(OBSERVATION.state)],
        ],
    )
    def test_frames_that_are_no_message(self, frames):
        with pytest.raises(MessageError, match="not a message"):
            from_frames(frames)

    @given(st.lists(st.binary(max_size=64), max_size=4))
    def test_any_frames_are_read_or_refused(self, frames):
        with contextlib.suppress(MessageError):
            from_frames(frames)

    @given(st.binary(max_size=64))
    def test_any_bytes_are_read_or_refused(self, data):
        with contextlib.suppress(MessageError):
            decode(data)

    @pytest.mark.parametrize("value", [object(), np.array([object()]), np.array(["a"]), {1: 2**70}])
    def test_what_cannot_be_sent(self, value):
        with pytest.raises(MessageError, match="cannot be sent"):
            encode(value)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"state": np.full(7, np.nan, np.float32)}, "NaN"),
            ({"images": [1]}, "expected a mapping"),
            ({"surprise": 1}, "unknown fields surprise"),
            ({"action_type": "juggle"}, "unknown action type"),
            ({"action_type": np.zeros(2, np.float32)}, "unknown action type"),
            ({"images": {"agentview": [[1], [2, 3]]}}, "expected uint8"),
            ({"regions": {"agentview": [[0.0] * 5] * 6}}, "expected shape"),
            ({"proprioception": [[1], [2, 3]]}, "expected an array"),
            ({"instruction": 3}, "expected a text"),
        ],
    )
    def test_a_wrong_observation(self, change, message):
        with pytest.raises(RainError, match=message):
            observation_in(there_and_back(observation_out(OBSERVATION) | change))

    def test_missing_or_no_fields(self):
        fields = observation_out(OBSERVATION)
        del fields["state"]
        with pytest.raises(MessageError, match="missing fields state"):
            observation_in(fields)
        for read in (observation_in, prediction_in, conventions_in):
            with pytest.raises(MessageError, match="expected"):
                read([1, 2, 3])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"views": 3.0}, "views: expected names"),
            ({"views": [1]}, "views: expected names"),
            ({"image_size": "large"}, "expected numbers"),
            ({"rate_hz": None}, "expected numbers"),
            ({"action": np.zeros(2)}, "names of a meaning"),
        ],
    )
    def test_wrong_conventions(self, change, message):
        fields = conventions_out(Conventions(("top",), 128, "a", "b", 20.0))
        with pytest.raises(MessageError, match=message):
            conventions_in(fields | change)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"regions": {"top": np.zeros((2, 2), np.float32)}}, "expected bool"),
            ({"scores": {}}, "a stamp and a score"),
            ({"stamps": {"top": "late"}}, "could not convert"),
            ({"scores": 1}, "no attribute"),
            ({"notes": None}, "not iterable"),
            ({"pause": 1}, "expected a text or nothing"),
        ],
    )
    def test_a_wrong_look(self, change, message):
        with pytest.raises(MessageError, match=message):
            look_in(look_out(LOOK) | change)

    def test_a_wrong_prediction(self):
        fields = prediction_out(PREDICTION)
        for change, message in (
            ({"completion": "much"}, "progress"),
            ({"completion": 2.0}, "completion"),
            ({"actions": np.zeros((3, 7), np.float32)}, "ActionChunk.actions"),
        ):
            with pytest.raises(RainError, match=message):
                prediction_in(fields | change)
