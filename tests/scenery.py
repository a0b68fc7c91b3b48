"""The line of `tiny` with a view from outside, which shows where the point is."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tiny import Line, line_image

SCENE = "scenery:TinyScene-v0"


class Scene(Line):
    """A dark picture with a bright column; brighter while the point is in the hazard."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.render_mode = kwargs.get("render_mode")

    def render(self) -> np.ndarray:
        picture = np.full((480, 480, 3), 20, np.uint8)
        left = round((self.x + 1) / 2 * 440)
        picture[:, left : left + 40] = 250 if self.x > 0.7 else 150
        return picture


class BothScene(Scene):
    """The same with a picture and a vector to observe."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        parts = {"image": spaces.Box(0, 255, (64, 64, 6), np.uint8), "vector": spaces.Box(-2, 2, (2,), np.float32)}
        self.observation_space = spaces.Dict(parts)  # type: ignore[assignment]

    def look(self) -> dict[str, np.ndarray]:  # type: ignore[override]
        return {"image": line_image(self.x), "vector": np.array([self.x, self.x**2], np.float32)}


gymnasium.register("TinyScene-v0", entry_point="scenery:Scene")
gymnasium.register("TinyBothScene-v0", entry_point="scenery:BothScene")
