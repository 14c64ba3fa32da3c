"""Policies of others, served in their own environments and asked over a socket.

``openpi:ws://HOST:PORT`` (π0, π0-FAST, π0.5), ``lerobot:ws://HOST:PORT`` (any LeRobot policy, by
``packages/rain_lerobot_serve``) and ``groot:tcp://HOST:PORT`` (GR00T N1.5 and later). They take the
whole task's instruction, images and LIBERO's proprioception; they know no regions and no progress.
"""

from rain.bench.remote.conventions import PRESETS, RemoteConventions
from rain.bench.remote.policy import RemoteError, RemotePolicy
from rain.bench.remote.source import SCHEMES, RemotePolicies

__all__ = [
    "PRESETS",
    "SCHEMES",
    "RemoteConventions",
    "RemoteError",
    "RemotePolicies",
    "RemotePolicy",
]
