"""Whether the views were pointed at the same thing, by the colours of what they marked."""

from __future__ import annotations

import numpy as np

from rain.perception.classical.colour import codes, histogram, likeness
from rain.perception.segmenter import Frame, Tracked


def disagreement(frame: Frame, found: Tracked, least: float) -> dict[str, str]:
    """View -> why its region is not to be trusted; empty where all agree.

    A view is left out where the colours of its region are less like those of the view that the
    segmenter is surest of than ``least``, in [0, 1]. Views differ in light and side: it is low.
    """
    seen = {view: region for view, region in found.items() if region.found}
    if len(seen) < 2:
        return {}
    colours = {
        view: histogram(codes(frame.images[view]), region.region.astype(np.float32))
        for view, region in seen.items()
    }
    # Of equally sure views the first one: the order of views is the caller's.
    first = max(seen, key=lambda view: seen[view].score)
    unlike = {view: likeness(colours[first], colours[view]) for view in seen if view != first}
    return {
        view: f"{view}: it disagrees with {first} about the target (likeness {value:.2f})"
        for view, value in unlike.items()
        if value < least
    }
