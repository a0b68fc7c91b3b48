"""Pictures of the report: strips of observations and one video, as data that the page carries itself."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from PIL import Image

VIEWS = ("front camera", "rear camera")


def views(frames: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Split frames (..., H, W, 3 V) into V named pictures (..., H, W, 3)."""
    count = frames.shape[-1] // 3
    names = VIEWS if count == 2 else [f"camera {i + 1}" if count > 1 else "camera" for i in range(count)]
    return [(name, frames[..., 3 * i : 3 * i + 3]) for i, name in enumerate(names)]


def strip(frames: np.ndarray, gap: int = 2) -> Image.Image:
    """Frames (T, H, W, 3) uint8 side by side, `gap` transparent pixels between them."""
    steps, height, width, _ = frames.shape
    canvas = np.zeros((height, steps * (width + gap) - gap, 4), np.uint8)
    for step, frame in enumerate(frames):
        left = step * (width + gap)
        canvas[:, left : left + width, :3] = frame
        canvas[:, left : left + width, 3] = 255
    return Image.fromarray(canvas)


def difference(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Signed difference of two uint8 pictures as uint8: mid-gray where they agree."""
    return (128 + (prediction.astype(np.int16) - truth.astype(np.int16)) // 2).clip(0, 255).astype(np.uint8)


def png(image: Image.Image) -> str:
    """`image` as a data address."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def side_by_side(frames: np.ndarray, scale: int = 4) -> np.ndarray:
    """Frames of V cameras (T, H, W, 3 V) as one wide, enlarged picture each, (T, scale H, scale W V, 3)."""
    return np.concatenate([picture.repeat(scale, 1).repeat(scale, 2) for _, picture in views(frames)], 2)


def resized(frames: np.ndarray, height: int) -> np.ndarray:
    """Frames (T, h, w, 3) uint8 in the same proportions at another height."""
    width = round(height * frames.shape[2] / frames.shape[1])
    box = Image.Resampling.BOX
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), box)) for frame in frames])


def mp4(frames: np.ndarray, fps: int) -> str:
    """Frames (T, h, w, 3) uint8 as an H.264 video in a data address; odd sizes lose their last row or column."""
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        imageio.mimwrite(path, list(even), fps=fps, codec="libx264", quality=6, macro_block_size=2)
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
