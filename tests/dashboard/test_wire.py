"""Frames as bytes: regions, plans, pictures come out as they went in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from rain.dashboard.board import Board
from rain.dashboard.frames import ShownView
from rain.dashboard.wire import packed, runs, unpacked


def region_of(told: dict) -> np.ndarray:
    """What a page makes of run lengths, written anew."""
    flat: list[bool] = []
    for i, length in enumerate(told["runs"]):
        flat += [bool(i % 2)] * length
    return np.array(flat).reshape(told["height"], told["width"])


@pytest.mark.parametrize("seed", range(4))
def test_a_region_comes_back_from_its_runs(seed):
    region = np.random.default_rng(seed).random((7, 11)) < 0.4
    region[0, 0] = seed % 2
    np.testing.assert_array_equal(region_of(runs(region)), region)


@pytest.mark.parametrize("value", [False, True])
def test_a_region_of_nothing_and_of_everything(value):
    region = np.full((3, 4), value)
    np.testing.assert_array_equal(region_of(runs(region)), region)


def test_a_frame_comes_back():
    board, image = Board(), np.zeros((24, 32, 3), np.uint8)
    image[:, :16] = 200
    plan = np.array([[3.0, 4.04], [np.nan, 1.0], [1e9, 2.0]])
    region = image[..., 0] > 0
    frame = board.show(
        {"top": ShownView(image, region, plan), "wrist": ShownView(image[:8])}, {"step": 7}
    )
    header, pictures = unpacked(packed(frame))
    assert (header["number"], header["facts"]) == (1, {"step": 7})
    top, wrist = header["views"]
    assert [top["name"], top["width"], top["height"]] == ["top", 32, 24]
    assert top["plan"] == [[3.0, 4.0], None, None]
    assert wrist["region"] is None
    np.testing.assert_array_equal(region_of(top["region"]), region)
    decoded = np.asarray(Image.open(io.BytesIO(pictures[0]))).astype(int)
    assert np.abs(decoded - image)[:, :12].max() < 12
    assert packed(frame) is packed(frame)  # made once for all viewers


@pytest.mark.parametrize("damage", [lambda m: m[:2], lambda m: m[:-1], lambda m: m + b"x"])
def test_what_is_cut_off_is_no_frame(damage):
    message = packed(Board().show({"top": ShownView(np.zeros((4, 4, 3), np.uint8))}, {}))
    with pytest.raises(ValueError, match="frame"):
        unpacked(damage(message))


def test_a_board_tells_its_watchers_only_of_changes():
    board, calls = Board(mode="a"), []
    leave = board.watch(lambda: calls.append(board.state()[0]))
    board.tell(mode="a")
    assert calls == []
    board.tell(mode="b", other=[1])
    board.log("hello", "warning")
    assert calls == [1, 2]
    assert [(line["number"], line["text"], line["kind"]) for line in board.lines()] == [
        (1, "hello", "warning")
    ]
    assert board.lines(after=1) == []
    leave()
    board.tell(mode="c")
    assert len(calls) == 2
