"""Where a patch went between two images: the shift of least squared difference, by FFT."""

from __future__ import annotations

import numpy as np

from rain.types import Array


def find_shift(
    before: Array, now: Array, weight: Array, guess: tuple[float, float], reach: int
) -> tuple[int, int]:
    """Rows and columns by which the weighted pixels of ``before`` moved.

    before, now: float (H, W, C). weight: float (H, W). Shifts of up to ``reach`` are looked
    at; one farther from the ``guess`` must fit better.
    """
    height, width = weight.shape
    mass = float(weight.sum())
    if mass <= 0:
        return 0, 0
    # Padded, so that a patch that leaves on one side does not come back on the other.
    shape = (height + 2 * reach, width + 2 * reach)
    spectrum = np.fft.rfft2(now, shape, axes=(0, 1))
    patch = np.fft.rfft2(before * weight[..., None], shape, axes=(0, 1))
    inside = np.fft.rfft2(np.stack([(now**2).sum(-1), np.ones_like(weight)], -1), shape, (0, 1))
    window = np.fft.rfft2(weight, shape)
    cross = (spectrum * patch.conj()).sum(-1)
    squares, seen = (np.fft.irfft2(inside[..., i] * window.conj(), shape) for i in range(2))
    cross = np.fft.irfft2(cross, shape)
    own = np.fft.irfft2(
        inside[..., 1] * np.fft.rfft2((before**2).sum(-1) * weight, shape).conj(), shape
    )
    error = (squares - 2 * cross + own) / np.maximum(seen, 0.25 * mass)
    rows, columns = (np.arange(-reach, reach + 1) + round(g) for g in guess)
    rows = rows[np.abs(rows) <= reach]
    columns = columns[np.abs(columns) <= reach]
    looked = error[np.ix_(rows, columns)]
    away = (rows[:, None] - guess[0]) ** 2 + (columns[None] - guess[1]) ** 2
    cost = looked * (1 + 0.01 * away) + 1e-5 * away
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(rows[best[0]]), int(columns[best[1]])
