"""Let PyPI's torchvision be imported beside a CPU build of torch, in the side environment alone.

Its compiled operators are linked against CUDA and do not load there. What lerobot uses of it
(transforms, networks, the PyAV video reader) is Python, but importing it looks the operator ``nms``
up. It is declared here, without an implementation, when torchvision is about to be imported. A
``.pth`` file in the environment imports this module at start.
"""

import importlib.abc
import sys


class _Declare(importlib.abc.MetaPathFinder):
    """Finds nothing; acts once, when torchvision is looked for."""

    library = None

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision" and _Declare.library is None:
            import torch

            # Kept for the life of the process: the declaration goes away with it.
            _Declare.library = torch.library.Library("torchvision", "FRAGMENT")
            _Declare.library.define(
                "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        return None


sys.meta_path.insert(0, _Declare())
