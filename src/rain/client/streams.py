"""A mask server in a control loop that never waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.client.connection import ServerError
from rain.client.masks import MaskClient
from rain.types import Look


class StreamedRegions:
    """Hands frames over as they come and gives the newest look at the present target.

    What the server refuses or loses is in ``error``, for people; a look that stays out grows old,
    which is what a control loop watches. The client's mask server may go and come back.
    """

    def __init__(self, client: MaskClient) -> None:
        """From here on ``client`` is used here alone."""
        self._client = client
        self._since = 0
        self._look: Look | None = None
        self.error: ServerError | None = None

    def begin(self, target: str, phrase: str) -> None:
        """A subtask begins; looks at the last target that are still out no longer count."""
        self._look, self.error = None, None
        self._since = self._client.begin(target, phrase, wait=False)

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> None:
        """Hand over a frame."""
        self._client.ask(images, stamp)

    def point(self, prompts: Mapping[str, Any]) -> None:
        """Somebody points at another target in the next frame: view -> prompt.

        Prompts are those of ``rain.perception.prompts``. Looks at what was the target before, which
        are still out, no longer count.
        """
        self._look, self.error = None, None
        self._since = self._client.clear(wait=False)
        for view, prompt in prompts.items():
            self._since = self._client.point_at_next(view, prompt)

    def poll(self) -> Look | None:
        """The newest look at this target, None where there is none since ``begin`` or ``point``."""
        while True:
            try:
                came = self._client.poll()
            except ServerError as error:
                if error.code != "overtaken":
                    self.error = error
                continue
            for number, look in came:
                newer = self._look is None or look.stamp >= self._look.stamp
                if number > self._since and newer:
                    self._look, self.error = look, None
            return self._look
