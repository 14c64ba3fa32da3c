"""Regions of the simulated arm over ROS 2: its label maps as PNG, one topic a view."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Mask, Points, Prompt
from rain.robot.images import decode_labels
from rain.robot.ros import Node, newest
from rain.robot.timing import Clock, SystemClock
from rain.types import Look, RainError
from rain.worlds.labels import LabelTable

LABELS = "/rain/labels/"
"""Where the simulated arm gives its label maps, followed by the view."""


class RosRegions:
    """A ``RegionPort``: the simulated arm's own regions, from its label maps."""

    def __init__(self, views: tuple[str, ...], *, clock: Clock | None = None) -> None:
        """Listen to the label maps of these views."""
        from sensor_msgs.msg import CompressedImage

        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._target = ""
        self._seen: dict[str, tuple[NDArray[np.uint8], LabelTable, float]] = {}
        self._ros = Node("rain_regions")
        for view in views:
            self._ros.node.create_subscription(
                CompressedImage, LABELS + view, self._labels_of(view), newest()
            )
        self._ros.start()

    def begin(self, target: str, phrase: str) -> None:
        """A subtask begins; the simulator knows targets by their names."""
        self._target = target

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> None:
        """The simulator needs no frame."""

    def poll(self) -> Look | None:
        """Where the target is in every view whose label map has come."""
        with self._lock:
            seen = dict(self._seen)
        if not seen or not self._target:
            return None
        stamp = min(stamp for _, _, stamp in seen.values())
        regions, stamps = {}, {}
        for view, (labels, table, came) in seen.items():
            try:
                region = table.lookup(self._target)[labels]
            except RainError as error:
                return Look(stamp, pause=str(error))
            if region.any():
                regions[view], stamps[view] = region, came
        return Look(stamp, regions, stamps, dict.fromkeys(regions, 1.0))

    def point(self, prompts: Mapping[str, Prompt]) -> None:
        """What lies under the prompts becomes the target; RainError where nothing does."""
        with self._lock:
            seen = dict(self._seen)
        votes: Counter[str] = Counter()
        for view, prompt in prompts.items():
            if view not in seen:
                raise RainError(f"click: no regions of the view {view!r} have come")
            labels, table, _ = seen[view]
            votes.update(_under(prompt, labels, table))
        if not votes:
            raise RainError("click: nothing lies there")
        self._target = votes.most_common(1)[0][0]

    def labels(self) -> dict[str, tuple[NDArray[np.uint8], LabelTable]]:
        """The newest label map of each view, with what its numbers mean."""
        with self._lock:
            return {view: (labels, table) for view, (labels, table, _) in self._seen.items()}

    def close(self) -> None:
        """Leave the network."""
        self._ros.close()

    def _labels_of(self, view: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            try:
                table = table_in(message.header.frame_id)
                labels = decode_labels(bytes(message.data))
                if labels.size and labels.max() >= len(table.rows):
                    return
            except (ValueError, RainError):
                return  # the regions go stale, and the arm holds
            with self._lock:
                self._seen[view] = labels, table, self._clock.now()

        return take


def _under(prompt: Prompt, labels: NDArray[np.uint8], table: LabelTable) -> Counter[str]:
    """Targets -> pixels of theirs under a prompt, in a label map (H, W); RainError."""
    height, width = labels.shape
    if isinstance(prompt, Mask):
        if prompt.region.shape != labels.shape:
            raise RainError(f"click: the region is {prompt.region.shape}, the view {labels.shape}")
        hit = labels[prompt.region]
    elif isinstance(prompt, Points):
        pixels = [(int(column), int(row)) for column, row in prompt.on]
        for column, row in pixels:
            if not (0 <= row < height and 0 <= column < width):
                raise RainError(f"click: ({column}, {row}) is not in the image")
        hit = np.array([labels[row, column] for column, row in pixels])
    else:
        left, top, right, bottom = (max(0, round(edge)) for edge in prompt.corners)
        hit = labels[top:bottom, left:right].ravel()
    counts: Counter[str] = Counter()
    for label, count in zip(*np.unique(hit, return_counts=True), strict=True):
        if names := table.rows[label]:
            counts[names[0]] += int(count)
    return counts


def table_out(table: LabelTable) -> str:
    """A label table as text, for a header's frame_id."""
    return json.dumps([table.targets, table.rows])


def table_in(text: str) -> LabelTable:
    """What ``table_out`` got; ValueError or RainError where it is something else."""
    try:
        targets, rows = json.loads(text)
        return LabelTable(tuple(map(str, targets)), tuple(tuple(map(str, row)) for row in rows))
    except TypeError as error:
        raise ValueError(f"no label table: {error}") from error
