"""Materials, and the pictures they are painted with.

Textures enter only the model that is drawn from: the physics compiles a new model for every layout and need not
decode pictures for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Material:
    """A surface.

    Attributes:
        name: of the material.
        picture: file in ``assets/``; empty: plain colour.
        rgba: colour, multiplied with the picture.
        repeat: how often the picture repeats over a plane; meshes bring their own coordinates.
        reflectance, shininess, specular: as MuJoCo's.
    """

    name: str
    picture: str = ""
    rgba: str = "1 1 1 1"
    repeat: float = 1.0
    reflectance: float = 0.0
    shininess: float = 0.1
    specular: float = 0.1

    def xml(self, drawing: bool) -> str:
        """XML of the material and, for drawing, its texture."""
        texture = self._texture() if drawing else ""
        used = f'texture="{self.name}" texrepeat="{self.repeat} {self.repeat}"' if texture else ""
        look = f'reflectance="{self.reflectance}" shininess="{self.shininess}" specular="{self.specular}"'
        return f'{texture}<material name="{self.name}" {used} rgba="{self.rgba}" {look}/>'

    def _texture(self) -> str:
        return f'<texture name="{self.name}" type="2d" file="{self.picture}"/>' if self.picture else ""


class Checker(Material):
    """The plain tasks' floor of two sand tones."""

    def _texture(self) -> str:
        return (
            f'<texture name="{self.name}" type="2d" builtin="checker" width="100" height="100" '
            'rgb1="0.859 0.843 0.765" rgb2="0.949 0.914 0.855"/>'
        )


@cache
def pictures() -> dict[str, bytes]:
    """All texture files by name."""
    folder = files("fosp.envs.navigation") / "assets"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".png")}
