"""``VideoReader`` with the PyAV backend: seek, then iterate over frames."""

import av
import torch
from av.video.reformatter import VideoReformatter


class VideoReader:
    """Frames of a file's video stream as ``{"data": uint8 (3, H, W), "pts": seconds}``."""

    def __init__(self, src: str, stream: str = "video") -> None:
        self.container = av.open(src)
        self._stream = self.container.streams.video[0]
        self._frames = self.container.decode(self._stream)
        self._colours = VideoReformatter()  # one for all frames is many times faster

    def seek(self, time_s: float, keyframes_only: bool = False) -> "VideoReader":
        """Go to the last key frame at or before ``time_s``."""
        at = round(time_s / self._stream.time_base)
        self.container.seek(at, any_frame=not keyframes_only, stream=self._stream)
        self._frames = self.container.decode(self._stream)
        return self

    def __iter__(self) -> "VideoReader":
        return self

    def __next__(self) -> dict:
        frame = next(self._frames)
        data = torch.from_numpy(self._colours.reformat(frame, format="rgb24").to_ndarray()).permute(
            2, 0, 1
        )
        return {"data": data, "pts": float(frame.pts * frame.time_base)}
