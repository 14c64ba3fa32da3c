"""Serve a LeRobot policy over openpi's WebSocket protocol, in LeRobot's own environment.

    rain-lerobot-serve CHECKPOINT [--port 8000] [--device cuda]

LeRobot's own policy server unpickles what comes over the socket, which is not done here. Nothing of
RAIN is imported, because its requirements and LeRobot's exclude each other; so the few lines of
openpi's array format are here once more.
"""

from __future__ import annotations

import argparse
import hashlib
import threading
import traceback
from typing import Any

import msgpack
import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.utils import prepare_observation_for_inference
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

IMAGE = "observation.images."
STATE = "observation.state"
TASK = "task"
LETTERBOXING = ("resize_imgs_with_padding", "image_resolution")
"""Fields of policies that bring images to their own size themselves."""


def encode(value: Any) -> Any:
    """An array as openpi-client packs it."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    raise TypeError(f"cannot send {type(value).__name__}")


def decode(value: dict) -> Any:
    """What ``encode`` made; only plain numbers."""
    if b"__ndarray__" not in value:
        return value
    dtype = np.dtype(value[b"dtype"])
    if dtype.kind not in "biuf":
        raise ValueError(f"arrays of {dtype} are not read")
    return np.frombuffer(value[b"data"], dtype).reshape(value[b"shape"])


class ServedPolicy:
    """A checkpoint with its own normalisation; answers one observation at a time."""

    def __init__(self, checkpoint: str, device: str) -> None:
        config = PreTrainedConfig.from_pretrained(checkpoint)
        config.device = device
        if (getattr(config, "n_obs_steps", 1) or 1) > 1:
            raise SystemExit(
                f"{checkpoint}: {config.type} sees {config.n_obs_steps} moments at once; only "
                "policies that see one can be served in chunks"
            )
        self.policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
        self.policy.to(device).eval()
        self.config, self.device = config, torch.device(device)
        self.before, self.after = make_pre_post_processors(
            config, checkpoint, preprocessor_overrides={"device_processor": {"device": device}}
        )
        self._one_at_a_time = threading.Lock()

    def metadata(self) -> dict[str, Any]:
        """What the checkpoint is and takes; the digest is of its weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.policy.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return {
            "policy": self.config.type,
            "weights": digest.hexdigest(),
            "images": {k: list(f.shape) for k, f in self.config.image_features.items()},
            "execute": int(getattr(self.config, "n_action_steps", 1)),
        }

    def infer(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The chunk of actions (n, 7) for one observation."""
        frame = {key: np.array(self._image(key, observation)) for key in self.config.image_features}
        if self.config.robot_state_feature is not None:
            frame[STATE] = np.array(observation[STATE], dtype=np.float32)
        with self._one_at_a_time, torch.inference_mode():
            batch = self.before(
                prepare_observation_for_inference(frame, self.device, task=observation[TASK])
            )
            chunk = self.after(self.policy.predict_action_chunk(batch))
        return {"actions": chunk.squeeze(0).float().cpu().numpy()}

    def _image(self, key: str, observation: dict[str, Any]) -> np.ndarray:
        if key not in observation:
            known = ", ".join(sorted(k for k in observation if k.startswith(IMAGE)))
            raise KeyError(f"the checkpoint wants {key}, sent are {known or 'no images'}")
        image, shape = observation[key], self.config.image_features[key].shape
        resizes = any(getattr(self.config, name, None) for name in LETTERBOXING)
        if image.shape[:2] != tuple(shape[1:]) and not resizes:
            raise ValueError(
                f"{key}: the checkpoint wants {shape[1]} x {shape[2]} pixels, sent are "
                f"{image.shape[0]} x {image.shape[1]}: set size"
            )
        return image


def answer(served: ServedPolicy, metadata: dict[str, Any], connection: ServerConnection) -> None:
    """Serve one connection, as openpi's server does."""
    connection.send(msgpack.packb(metadata))
    try:
        for message in connection:
            observation = msgpack.unpackb(message, object_hook=decode)
            connection.send(msgpack.packb(served.infer(observation), default=encode))
    except ConnectionClosed:
        return
    except Exception:
        connection.send(traceback.format_exc())
        connection.close(1011, "the traceback is in the previous frame")


def main() -> None:
    """Load the checkpoint and serve it until interrupted."""
    parser = argparse.ArgumentParser(description="serve a LeRobot policy (see the module's text)")
    parser.add_argument("checkpoint", help="folder, or name on the hub")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    served = ServedPolicy(options.checkpoint, options.device)
    metadata = served.metadata()
    print(f"{metadata['policy']} on ws://{options.host}:{options.port}", flush=True)
    with serve(
        lambda connection: answer(served, metadata, connection),
        options.host,
        options.port,
        compression=None,
        max_size=None,
        ping_interval=None,
    ) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
