"""A stand-in for torchvision, for the side environment of ``make test-lerobot`` alone.

lerobot imports torchvision for two things when it reads a dataset: ``ToTensor`` of PIL images and
a video reader on PyAV. torchvision's wheels on PyPI do not import beside a CPU build of torch, so
these two are given here, as torchvision documents them. Where the real one imports, it is used.
"""

from . import io, transforms

__all__ = ["io", "set_video_backend", "transforms"]


def set_video_backend(backend: str) -> None:
    """Accept PyAV, the only one here."""
    if backend != "pyav":
        raise ValueError(f"this stand-in reads videos with pyav, not {backend}")
