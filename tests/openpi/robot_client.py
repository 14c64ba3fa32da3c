"""A robot's client as openpi's examples write it, with the real openpi-client; knows no RAIN.

Run by ``test_real_client.py`` in openpi-client's own environment: ADDRESS API_KEY FILE. Reads
images, state and region from FILE, an .npz, and writes what it got as JSON to stdout.
"""

import json
import sys

import numpy as np
from openpi_client import action_chunk_broker, image_tools, websocket_client_policy


def main(address: str, key: str, file: str) -> dict:
    given = np.load(file)
    policy = websocket_client_policy.WebsocketClientPolicy(host=address, api_key=key or None)
    observation = {
        "observation/image": image_tools.convert_to_uint8(
            image_tools.resize_with_pad(given["image"], 224, 224)
        ),
        "observation/wrist_image": image_tools.resize_with_pad(given["wrist"], 224, 224),
        "observation/state": given["state"],
        "prompt": "take the milk",
    }
    extra = {"observation/region/agentview": given["region"], "action_type": "grasp"}
    found = {"numpy": np.__version__, "metadata": policy.get_server_metadata()["policy"]}
    whole = policy.infer({**observation, **extra})
    found["actions"] = whole["actions"].tolist()
    broker = action_chunk_broker.ActionChunkBroker(policy, action_horizon=10)
    found["steps"] = [broker.infer({**observation, **extra})["actions"].tolist() for _ in range(12)]
    try:
        policy.infer(observation)
    except RuntimeError as error:
        found["error"] = str(error)
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
