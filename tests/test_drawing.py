from __future__ import annotations

import av
import numpy as np
import pytest

from rain.drawing import VideoWriter, draw_plan, replacing, tint
from rain.types import RainError


def frames(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_frames_come_back(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 10) as writer:
        for level in (20, 120, 220):
            writer.add(np.full((48, 64, 3), level, np.uint8))
        assert not path.exists()
    back = frames(path)
    assert [frame.shape for frame in back] == [(48, 64, 3)] * 3
    assert [round(frame.mean(), -1) for frame in back] == [20, 120, 220]
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 10


def test_an_error_leaves_no_file(tmp_path):
    def fail():
        with VideoWriter(tmp_path / "a.mp4", 10) as writer:
            writer.add(np.zeros((16, 16, 3), np.uint8))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_bad_frames_and_names(tmp_path):
    with pytest.raises(RainError, match=r"\.mp4"):
        VideoWriter(tmp_path / "a.gif", 10)
    writer = VideoWriter(tmp_path / "a.mp4", 10)
    with pytest.raises(ValueError, match="even"):
        writer.add(np.zeros((15, 16, 3), np.uint8))
    writer.add(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="the video has"):
        writer.add(np.zeros((32, 16, 3), np.uint8))
    writer.discard()
    with pytest.raises(ValueError, match="at least one frame"):
        VideoWriter(tmp_path / "a.mp4", 10).close()
    assert list(tmp_path.iterdir()) == []


def test_the_region_alone_is_tinted():
    image = np.full((64, 64, 3), 100, np.uint8)
    region = np.zeros((32, 32), bool)
    region[8:16, 8:16] = True
    tinted = tint(image, region)
    assert (tinted[20:28, 20:28] != 100).any(axis=2).all()
    assert (tinted[40:] == 100).all()
    np.testing.assert_array_equal(tint(image, np.zeros((32, 32))), image)


def test_the_plan_is_drawn_where_it_is_seen():
    image = np.zeros((64, 64, 3), np.uint8)
    pixels = np.array([[np.nan, np.nan], [10.0, 12.0], [1e9, 0.0], [40.0, 50.0]])
    drawn = draw_plan(image, pixels)
    assert drawn[12, 10].any()
    assert drawn[50, 40].any()
    assert not drawn[12, 30:].any()
    assert not image.any()


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert path.exists() == (text == "two")
        assert path.read_text() == text

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("three")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
