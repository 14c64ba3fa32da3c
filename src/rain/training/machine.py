"""The processes a run is spread over, through accelerate: one, or those torchrun started."""

from __future__ import annotations

import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from rain.training.config import TrainConfig

_ECHO = 2.0


def start(config: TrainConfig) -> Accelerator:
    """Set threads and precision and find the processes and the device of this run."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    # accelerate keeps its settings for the life of a process; a second run may want others.
    AcceleratorState._reset_state(reset_partial_state=False)
    return Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        kwargs_handlers=[
            DistributedDataParallelKwargs(
                broadcast_buffers=False,
                # Some switches leave parameters without a gradient.
                find_unused_parameters=not config.model.plan_tokens,
            )
        ],
    )


def share(accelerator: Accelerator) -> tuple[int, int]:
    """(rank, world) of this process."""
    return accelerator.process_index, accelerator.num_processes


def memory_mb(accelerator: Accelerator) -> float:
    """Most memory used so far, MB: of the accelerator where there is one, else of this process."""
    if accelerator.device.type == "cuda":
        return torch.cuda.max_memory_allocated(accelerator.device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def mean(accelerator: Accelerator, values: Mapping[str, float]) -> dict[str, float]:
    """Average numbers over all processes; every process must call it."""
    if accelerator.num_processes == 1 or not values:
        return dict(values)
    tensor = torch.tensor(list(values.values()), dtype=torch.float64)
    tensor = accelerator.reduce(tensor.to(accelerator.device), reduction="mean")
    return dict(zip(values, tensor.tolist(), strict=True))


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a set event, so that a step is finished and saved.

    A later Ctrl-C interrupts at once. Outside the main thread signals stay as they are.
    """
    stop = threading.Event()
    first = 0.0
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # torchrun passes on the Ctrl-C that its processes have already seen: not a second wish.
        if stop.is_set() and number == signal.SIGINT and time.monotonic() - first > _ECHO:
            raise KeyboardInterrupt
        first = first or time.monotonic()
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
