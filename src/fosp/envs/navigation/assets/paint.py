"""Paints the textures of Race and BuildingGoal: ``python -m fosp.envs.navigation.assets.paint``.

The original's pictures are not part of this project; these are painted by rule, after the mean colours of the
original's published screenshots.
"""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np

SIZE = 128


def _smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """(SIZE, SIZE) noise in [-1, 1] that tiles, interpolated between ``cells`` x ``cells`` values."""
    values = rng.uniform(-1, 1, (cells, cells))
    at = np.arange(SIZE) * cells / SIZE
    low, t = at.astype(int), at % 1.0
    high = (low + 1) % cells
    t = t * t * (3 - 2 * t)
    rows = values[low] * (1 - t)[:, None] + values[high] * t[:, None]
    return rows[:, low] * (1 - t) + rows[:, high] * t


def _cloud(seed: int) -> np.ndarray:
    """(SIZE, SIZE) noise of several grain sizes, about [-1, 1]."""
    rng = np.random.default_rng(seed)
    return np.sum([_smooth_noise(rng, cells) * weight for cells, weight in ((4, 0.4), (16, 0.35), (64, 0.25))], axis=0)


def _shade(colour: tuple[float, float, float], brightness: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE, 3) of one colour times a brightness."""
    return np.array(colour) * brightness[..., None]


def _bricks(rows: int, columns: int, joint: int) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the joints (True), and a number per brick, both (SIZE, SIZE)."""
    y, x = np.mgrid[:SIZE, :SIZE]
    height, width = SIZE // rows, SIZE // columns
    row = y // height
    shifted = x + (row % 2) * (width // 2)
    column = (shifted // width) % columns
    return (y % height < joint) | (shifted % width < joint), row * columns + column


def _masonry(seed: int, rows: int, columns: int, colour: tuple[float, float, float], joint: tuple[float, float, float]):
    mask, number = _bricks(rows, columns, 3)
    tone = np.random.default_rng(seed).uniform(0.8, 1.2, rows * columns)[number]
    stone = _shade(colour, tone * (1 + 0.15 * _cloud(seed)))
    return np.where(mask[..., None], _shade(joint, 1 + 0.2 * _cloud(seed + 1)), stone)


def _stripes(seed: int, count: int, colour: tuple[float, float, float]) -> np.ndarray:
    x = np.arange(SIZE) % (SIZE // count)
    edge = 0.55 + 0.5 * np.sin(np.pi * (x + 0.5) / (SIZE // count))
    tone = np.random.default_rng(seed).uniform(0.85, 1.15, count)[np.arange(SIZE) * count // SIZE]
    return _shade(colour, (edge * tone)[None] * (1 + 0.12 * _cloud(seed)))


def _leaves(seed: int, colours: list[tuple[float, float, float]]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    choice = rng.integers(len(colours), size=(SIZE // 4, SIZE // 4)).repeat(4, 0).repeat(4, 1)
    return np.array(colours)[choice] * (1 + 0.35 * _cloud(seed))[..., None]


def _disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    return np.hypot(x, y) < radius


def _no_entry() -> np.ndarray:
    picture = np.full((SIZE, SIZE, 3), 235.0)
    picture[_disc(0.45)] = (200, 30, 30)
    picture[SIZE // 2 - 10 : SIZE // 2 + 10, SIZE // 5 : -SIZE // 5] = 240
    return picture


def _parking() -> np.ndarray:
    picture = np.full((SIZE, SIZE, 3), (30.0, 80.0, 190.0))
    stem = slice(SIZE * 3 // 8, SIZE * 3 // 8 + 12)
    picture[SIZE // 4 : SIZE * 3 // 4, stem] = 245
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    bow = np.abs(np.hypot(x - 0.5, y - 0.39) - 0.12) < 0.045
    picture[bow & (x > 0.4)] = 245
    return picture


def paint() -> dict[str, np.ndarray]:
    """All pictures by file name, (128, 128, 3) float."""
    return {
        "paving.png": _masonry(0, 4, 4, (100, 90, 76), (66, 74, 42)),
        "rock.png": _shade((83, 89, 91), 1 + 0.35 * _cloud(2)),
        "bamboo.png": _stripes(3, 8, (112, 92, 38)),
        "planks.png": _stripes(4, 4, (112, 92, 65)),
        "leaves.png": _leaves(5, [(65, 82, 12), (50, 70, 14), (84, 100, 20)]),
        "flowers.png": _leaves(6, [(60, 90, 170), (190, 170, 60), (60, 90, 30), (60, 90, 30)]),
        "gravel.png": _shade((136, 109, 87), 1 + 0.3 * _cloud(7)),
        "bricks.png": _masonry(8, 8, 4, (158, 92, 70), (150, 146, 138)),
        "concrete.png": _masonry(9, 4, 2, (146, 144, 138), (112, 110, 106)),
        "metal.png": _stripes(10, 2, (128, 127, 125)),
        "no_entry.png": _no_entry(),
        "parking.png": _parking(),
    }


def main() -> None:
    """Writes the pictures beside this file."""
    for name, picture in paint().items():
        imageio.imwrite(Path(__file__).parent / name, np.clip(picture, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
