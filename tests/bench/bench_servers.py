"""Policy servers on loopback sockets, written from the protocols' descriptions, not from ours."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from bench_fakes import FakeWorld
from numpy.typing import NDArray

from rain.types import Conventions

msgpack = pytest.importorskip("msgpack")
zmq = pytest.importorskip("zmq")
server = pytest.importorskip("websockets.sync.server")

LIBERO = Conventions(
    ("agentview", "wrist"), 256, "libero_ee_axis_angle_gripper", "libero_osc_pose_delta", 20.0
)
READING = np.arange(8, dtype=np.float32) / 8


class ReadWorld(FakeWorld):
    """A world with LIBERO's conventions whose images are dark on the left and bright elsewhere."""

    def __init__(self, success_after: int | None = None) -> None:
        super().__init__(success_after, LIBERO, grasps=lambda marked: "milk_1")

    def proprioception(self) -> NDArray[np.float32]:
        return READING

    def render(self, view: str, size: int) -> NDArray[np.uint8]:
        image = np.full((size, size, 3), 200, np.uint8)
        image[:, : size // 4] = 10
        return image


def read_worlds(suite: str, task: int, image_size: int, views: tuple[str, ...]) -> ReadWorld:
    return ReadWorld()


def openpi_bytes(value: Any) -> bytes:
    def encode(array: NDArray) -> dict:
        return {
            b"__ndarray__": True,
            b"data": array.tobytes(),
            b"dtype": array.dtype.str,
            b"shape": array.shape,
        }

    return msgpack.packb(value, default=encode)


def openpi_value(data: bytes) -> Any:
    def decode(value: dict) -> Any:
        if b"__ndarray__" not in value:
            return value
        return np.ndarray(value[b"shape"], np.dtype(value[b"dtype"]), value[b"data"])

    return msgpack.unpackb(data, object_hook=decode)


Answer = Callable[[dict], Any]


@contextmanager
def openpi_server(answer: Answer, metadata: Any = None) -> Iterator[str]:
    """Serve ``answer(observation)`` at the address it yields.

    A str answer goes out as a text frame, bytes as they are, None closes the connection.
    """

    def handle(connection: Any) -> None:
        connection.send(openpi_bytes(metadata or {}))
        for message in connection:
            said = answer(openpi_value(message))
            if said is None:
                return
            connection.send(said if isinstance(said, str | bytes) else openpi_bytes(said))

    with server.serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        port = serving.socket.getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
        serving.shutdown()
        thread.join()


def npy_bytes(value: Any) -> bytes:
    def encode(array: NDArray) -> dict:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        return {"__ndarray_class__": True, "as_npy": file.getvalue()}

    return msgpack.packb(value, default=encode)


def npy_value(data: bytes) -> Any:
    def decode(value: dict) -> Any:
        if "__ndarray_class__" not in value:
            return value
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)

    return msgpack.unpackb(data, object_hook=decode)


@contextmanager
def groot_server(handlers: dict[str, Callable[[Any], Any]]) -> Iterator[str]:
    """Serve endpoints; ping is there. bytes go out as they are, an exception as GR00T sends it."""
    socket = zmq.Context.instance().socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    ended = threading.Event()
    known = {"ping": lambda _: {"status": "ok"}, "get_modality_config": lambda _: {}} | handlers

    def serve() -> None:
        while not ended.is_set():
            if not socket.poll(20):
                continue
            request = npy_value(socket.recv())
            try:
                said = known[request["endpoint"]](request.get("data"))
            except Exception as error:
                said = {"error": str(error)}
            socket.send(said if isinstance(said, bytes) else npy_bytes(said))
        socket.close(linger=0)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{port}"
    ended.set()
    thread.join()


def chunk(length: int, gripper: float = 1.0) -> NDArray[np.float32]:
    """Actions whose first number counts them."""
    actions = np.zeros((length, 7), np.float32)
    actions[:, 0] = np.arange(length) / 100
    actions[:, 6] = gripper
    return actions
