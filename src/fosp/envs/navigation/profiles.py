"""The two published versions of the original tasks, and where they differ."""

from dataclasses import dataclass

from fosp.errors import InputError


@dataclass(frozen=True)
class Profile:
    """The choices in which Safety-Gymnasium's GitHub version and its PyPI release differ.

    Attributes:
        name: how ``make_env(profile=...)`` calls it.
        rear_camera: whether the robots carry the camera ``vision_back``.
        fixed_statistics: whether the model's extent is a constant (it sets the near clipping plane) or computed.
        start_before_goal: whether the task's own reset runs before the choice of the goal. It decides the button
            timer with which an episode of Button starts: 10 (True) or 0 (False).
        button_goal_alpha: opacity of the marker on the target button.
        push_box_alpha: opacity of the push box.
        gremlin_body_rotated: whether a gremlin's drawn rotation sits on its mocap body or on the ghost geom.
        race_floor_reflectance: how much the floor of Race mirrors.
        race_one_body: whether the scenery of Race is one static body or one per piece.
    """

    name: str
    rear_camera: bool
    fixed_statistics: bool
    start_before_goal: bool
    button_goal_alpha: float
    push_box_alpha: float
    gremlin_body_rotated: bool
    race_floor_reflectance: float
    race_one_body: bool

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the first-person cameras, front first."""
        return ("vision", "vision_back") if self.rear_camera else ("vision",)


PROFILES = {
    "github": Profile("github", True, True, True, 1.0, 0.25, True, 0.0, True),
    "pypi": Profile("pypi", False, False, False, 0.1, 1.0, False, 0.1, False),
}


def get_profile(name: str) -> Profile:
    """The profile of that name; raises InputError for any other name."""
    try:
        return PROFILES[name]
    except KeyError:
        raise InputError(f"profile={name!r} is unknown: use 'github' (as the paper) or 'pypi'.") from None
