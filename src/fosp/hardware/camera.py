"""An Intel RealSense camera, and pictures as the agent wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from fosp.errors import InputError
from fosp.hardware.vendor import vendor

SIDE = 64


def square(frame: np.ndarray) -> np.ndarray:
    """The middle square of a picture (H, W, 3) uint8, averaged to (64, 64, 3).

    Of a D435's 69 x 42 degrees that leaves 42 x 42, as SafeReach's simulated camera has.
    """
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = Image.fromarray(np.ascontiguousarray(frame[top : top + side, left : left + side]))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


class RealSense:
    """The colour stream of one camera."""

    def __init__(self, serial: str = "", width: int = 1280, height: int = 720, frames: int = 30) -> None:
        """Starts the stream.

        Args:
            serial: of the camera, where there are several.
            width, height: pixels of a frame.
            frames: a second.

        Raises:
            InputError: pyrealsense2 is missing, or there is no such camera.
        """
        library = vendor("pyrealsense2", "franka")
        config = library.config()
        if serial:
            config.enable_device(serial)
        config.enable_stream(library.stream.color, width, height, library.format.rgb8, frames)
        self._pipeline: Any = library.pipeline()
        try:
            self._pipeline.start(config)
        except RuntimeError as error:
            which = f"with serial number {serial} " if serial else ""
            raise InputError(
                f"No RealSense camera {which}gives {width}x{height} at {frames} frames a second ({error}): is it "
                "plugged in, and free?"
            ) from None

    def picture(self) -> np.ndarray:
        """The next frame, (64, 64, 3) uint8 RGB; raises `InputError` where none comes within a second."""
        try:
            frame = self._pipeline.wait_for_frames(1000).get_color_frame()
        except RuntimeError as error:
            raise InputError(f"The camera gives no picture ({error}): look at its cable.") from None
        return square(np.asanyarray(frame.get_data()))

    def close(self) -> None:
        """Stop the stream."""
        self._pipeline.stop()
