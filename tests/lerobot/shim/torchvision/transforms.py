"""``ToTensor`` alone."""

import numpy as np
import torch


class ToTensor:
    """A PIL image (H, W) or (H, W, C), uint8, as float32 (C, H, W) in [0, 1]."""

    def __call__(self, image) -> torch.Tensor:
        array = np.array(image)
        if array.ndim == 2:
            array = array[:, :, None]
        return torch.from_numpy(array).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
