"""LeRobot's asynchronous inference as one more client of ``serving_speed.py``.

Runs in an environment with lerobot, grpcio and protobuf, and knows nothing of RAIN. LeRobot's own
``PolicyServer`` and ``RobotClient.send_observation`` carry a raw observation there and a chunk of
16 actions back; only the policy is left out, with LeRobot's conversion of the observation to
tensors before it, so that what is timed is the way there and back, as for the others. LeRobot
pickles what it sends: both ends are this script's own processes, on the loopback.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import torch
from lerobot.async_inference.configs import PolicyServerConfig
from lerobot.async_inference.helpers import TimedObservation
from lerobot.async_inference.policy_server import PolicyServer
from lerobot.async_inference.robot_client import RobotClient
from lerobot.transport import services_pb2, services_pb2_grpc
from lerobot.transport.utils import grpc_channel_options


class StillServer(PolicyServer):
    """Its policy answers at once."""

    def _predict_action_chunk(self, observation_t: TimedObservation) -> list[Any]:
        self.last_processed_obs = observation_t
        return self._time_action_chunk(
            observation_t.get_timestamp(), list(torch.zeros(16, 7)), observation_t.get_timestep()
        )


def serve(told: Any) -> None:
    """As LeRobot's ``serve``, at any free port."""
    logging.disable(logging.WARNING)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    config = PolicyServerConfig(inference_latency=0.0)
    services_pb2_grpc.add_AsyncInferenceServicer_to_server(StillServer(config), server)
    told.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def main(file: str) -> None:
    """For every line, a number, ask so often; print the seconds each took."""
    logging.disable(logging.WARNING)
    given = np.load(file)
    observation = {key: given[key] for key in given.files} | {"task": "grasp"}
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs,), daemon=True
    )
    process.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{ours.recv()}", grpc_channel_options())
    stub = services_pb2_grpc.AsyncInferenceStub(channel)
    stub.Ready(services_pb2.Empty())
    client = SimpleNamespace(running=True, logger=logging.getLogger("client"), stub=stub)
    step = 0
    for line in sys.stdin:
        taken = []
        for _ in range(int(line)):
            step += 1
            start = time.perf_counter()
            timed = TimedObservation(
                timestamp=time.time(), timestep=step, observation=observation, must_go=True
            )
            RobotClient.send_observation(client, timed)
            actions = pickle.loads(stub.GetActions(services_pb2.Empty()).data)
            taken.append(time.perf_counter() - start)
            assert len(actions) == 16
        print(json.dumps(taken), flush=True)
    process.terminate()


if __name__ == "__main__":
    main(sys.argv[1])
