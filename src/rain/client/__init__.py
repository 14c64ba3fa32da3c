"""Light clients of RAIN's servers: NumPy, pyzmq and msgpack, and nothing of torch's.

``PolicyClient`` asks ``rain serve``, ``MaskClient`` asks ``rain masks``; both can wait for an
answer or look for it later, as a control loop does.
"""

from rain.client.connection import ServerError
from rain.client.masks import MaskClient, MaskGreeting
from rain.client.policy import Greeting, PolicyClient
from rain.client.streams import StreamedRegions

__all__ = [
    "Greeting",
    "MaskClient",
    "MaskGreeting",
    "PolicyClient",
    "ServerError",
    "StreamedRegions",
]
