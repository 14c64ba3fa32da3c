"""Statistics as LeRobot keeps them: of each episode, and of the dataset from those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, dict[str, Any]]
"""feature -> statistic -> nested lists, as in meta/stats.json."""

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
NEEDED = ("min", "max", "mean", "std", "count")
"""Statistics every feature must have; quantiles follow where they are known."""


def quantile_name(share: float) -> str:
    """``q01`` for 0.01."""
    return f"q{round(100 * share):02d}"


def of_values(values: NDArray) -> dict[str, Any]:
    """Statistics over the first axis of (T, d), or of (T,) as one dimension."""
    values = values.reshape(len(values), -1)
    whole = np.issubdtype(values.dtype, np.integer)
    ends = values if whole else values.astype(np.float64)  # whole numbers have whole ends
    values = values.astype(np.float64)
    found = {
        "min": ends.min(axis=0),
        "max": ends.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        **dict(
            zip(map(quantile_name, QUANTILES), np.quantile(values, QUANTILES, axis=0), strict=True)
        ),
    }
    return {**{name: v.tolist() for name, v in found.items()}, "count": [len(values)]}


def of_images(images: NDArray[np.uint8]) -> dict[str, Any]:
    """Statistics per channel over all pixels of (T, H, W, C), in [0, 1], each (C, 1, 1).

    Exact, from the counts of the 256 levels; LeRobot's own are from a sample of the frames.
    """
    levels = np.arange(256) / 255
    found: dict[str, list[float]] = {}
    for channel in range(images.shape[-1]):
        counts = np.bincount(images[..., channel].reshape(-1), minlength=256)
        below = np.cumsum(counts)
        mean = float(counts @ levels / below[-1])
        values = {
            "min": levels[np.flatnonzero(counts)[0]],
            "max": levels[np.flatnonzero(counts)[-1]],
            "mean": mean,
            "std": np.sqrt(counts @ (levels - mean) ** 2 / below[-1]),
        }
        for share in QUANTILES:
            values[quantile_name(share)] = levels[np.searchsorted(below, share * below[-1])]
        for name, value in values.items():
            found.setdefault(name, []).append(float(value))
    shaped = {name: [[[value]] for value in values] for name, values in found.items()}
    return {**shaped, "count": [len(images)]}


def aggregate(parts: Sequence[Mapping[str, Mapping[str, Any]]]) -> Stats:
    """Join statistics of several parts of a dataset; quantiles as LeRobot does, by mean."""
    return {key: _join([part[key] for part in parts]) for key in parts[0]}


def _join(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = np.array([part["count"][0] for part in parts], dtype=np.float64)
    weights = counts / counts.sum()

    def column(name: str) -> NDArray:
        return np.array([part[name] for part in parts])

    def weighted(values: NDArray) -> NDArray[np.float64]:
        return np.tensordot(weights, values, axes=1)

    mean = weighted(column("mean"))
    found = {
        "min": column("min").min(axis=0),
        "max": column("max").max(axis=0),
        "mean": mean,
        "std": np.sqrt(weighted(column("std") ** 2 + (column("mean") - mean) ** 2)),
        **{name: weighted(column(name)) for name in map(quantile_name, QUANTILES)},
    }
    return {**{name: v.tolist() for name, v in found.items()}, "count": [int(counts.sum())]}
