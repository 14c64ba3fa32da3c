"""Samples per second of lerobot's own loader; run by ``dataset_speed.py`` in lerobot's environment.

Arguments: dataset folder, "random" or "sequential", batch size, seconds, threads. The last line
printed is the rate.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import datasets
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(folder: str, order: str, batch: int, seconds: float, threads: int) -> float:
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as cache:
        datasets.config.HF_DATASETS_CACHE = Path(cache)
        data = LeRobotDataset("rain/benchmark", root=folder, video_backend="pyav")
        loader = torch.utils.data.DataLoader(data, batch_size=batch, shuffle=order == "random")
        data[0]
        start, samples = time.perf_counter(), 0
        while True:
            for item in loader:
                samples += len(item["index"])
                passed = time.perf_counter() - start
                if passed > seconds:
                    return samples / passed


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
