"""Pictures of cameras: turned, cut, sized; and what is no picture."""

from __future__ import annotations

import numpy as np
import pytest

from rain.robot.images import decode, decode_labels, jpeg, png


def corners() -> np.ndarray:
    """48 x 80, the square in the middle with a bright quarter at its top left."""
    image = np.zeros((48, 80, 3), np.uint8)
    image[:, :16] = 255
    image[:, -16:] = 255
    image[:24, 16:40] = (200, 40, 40)
    return image


@pytest.mark.parametrize(
    ("turns", "rows", "columns"),
    [(0, slice(0, 12), slice(0, 12)), (1, slice(12, 24), slice(0, 12)),
     (2, slice(12, 24), slice(12, 24)), (3, slice(0, 12), slice(12, 24))],
)  # fmt: skip
def test_the_square_in_the_middle_upright_in_the_policys_size(turns, rows, columns):
    got = decode(jpeg(corners(), 95), turns, 24)
    assert (got.shape, got.dtype) == ((24, 24, 3), np.uint8)
    red = got[..., 0].astype(int) - got[..., 1]
    bright = np.zeros((24, 24), bool)
    bright[rows, columns] = True
    inner = np.zeros((24, 24), bool)
    inner[2:10, 2:10] = inner[2:10, 14:22] = inner[14:22, 2:10] = inner[14:22, 14:22] = True
    np.testing.assert_array_equal((red > 100)[inner], bright[inner])


def test_png_of_the_same_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(decode(png(image), 0, 16), np.repeat(image[..., None], 3, 2))
    np.testing.assert_array_equal(decode_labels(png(image)), image)


@pytest.mark.parametrize("broken", [b"", b"hello", "cut"])
def test_what_is_no_picture(broken):
    data = jpeg(corners())[:200] if broken == "cut" else broken
    with pytest.raises(ValueError, match="no picture"):
        decode(data, 0, 24)
    with pytest.raises(ValueError, match="no"):
        decode_labels(data)
