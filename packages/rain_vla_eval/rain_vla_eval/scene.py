"""A LIBERO-EX task in a process of its own: closing one simulator spoils the next one's images."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError


class Scene:
    """The world of one task, driven over a pipe. What fails there is a RainError here."""

    def __init__(self, task: int, image_size: int, rendering: str) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, task, image_size, rendering), daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()

    def reset(self, episode: int, absolute: bool) -> None:
        """Start from a frozen init state; absolute: the arm's controller then takes poses."""
        self._call("reset", episode, absolute)

    def step(self, action: NDArray) -> tuple[bool, bool]:
        """One control period; whether the goal holds, and the whole of a task asked for in part."""
        return self._call("step", action)

    def look(self, regions: bool) -> dict[str, Any]:
        """Upright images, states, and on request the regions of every subtask."""
        return self._call("look", regions)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((name, arguments))
        except OSError as error:
            raise RainError("the simulator's process is gone") from error
        return self._receive()

    def _receive(self) -> Any:
        try:
            well, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(5)
            code = self._process.exitcode
            raise RainError(f"the simulator's process died with exit code {code}") from error
        if not well:
            raise RainError(value)
        return value


def _serve(pipe: Connection, task: int, image_size: int, rendering: str) -> None:
    """Answer calls until the pipe is closed."""
    try:
        hosted = _Hosted(task, image_size, rendering)
        pipe.send((True, None))
    except Exception as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))
        return
    calls: dict[str, Callable[..., Any]] = {
        "reset": hosted.reset,
        "step": hosted.step,
        "look": hosted.look,
    }
    while True:
        try:
            name, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (True, calls[name](*arguments))
        except Exception as error:
            answer = (False, f"{type(error).__name__}: {error}")
        pipe.send(answer)


class _Hosted:
    """The world, in its process."""

    def __init__(self, task: int, image_size: int, rendering: str) -> None:
        from rain.worlds.libero import LiberoWorld

        self._world = LiberoWorld("libero_ex", task, image_size=image_size, rendering=rendering)
        self._absolute = False

    @property
    def _robot(self) -> Any:
        return self._world.env.robots[0]

    def reset(self, episode: int, absolute: bool) -> None:
        self._robot.controller.use_delta = True
        self._world.reset(init_state=episode)
        self._absolute = absolute
        self._robot.controller.use_delta = not absolute

    def step(self, action: NDArray) -> tuple[bool, bool]:
        if self._absolute:
            # A pose is not to be clipped to the range of a delta.
            self._world.env.step(np.asarray(action, dtype=np.float64))
        else:
            self._world.step(action)
        return self._world.success(), self._world.full_success()

    def look(self, regions: bool) -> dict[str, Any]:
        world, subtasks = self._world, self._world.script.subtasks
        views, size = world.conventions.views, world.conventions.image_size
        controller = self._robot.controller
        seen = {
            "images": {view: world.render(view, size) for view in views},
            "proprioception": world.proprioception(),
            "controller": (np.array(controller.ee_pos), np.array(controller.ee_ori_mat)),
        }
        if regions:
            targets = [subtask.target for subtask in subtasks]
            seen["state"] = world.state()
            seen["regions"] = {view: world.regions(targets, view) for view in views}
        return seen
