"""The Franka Emika Panda as MuJoCo XML.

Kinematics, limits and masses are the manufacturer's, from the published modified (Craig) Denavit-Hartenberg table; the
shapes are primitives fitted to the extents of the public collision meshes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fosp.envs.xml import numbers, z_rotation

Capsule = tuple[tuple[float, float, float], tuple[float, float, float], float]
"""Two ends in the link's frame and a radius, metres."""


@dataclass(frozen=True)
class Link:
    """A link and the joint that turns it about its z axis.

    Attributes:
        a, d, alpha: where the joint's frame sits in its parent: modified DH, metres and radians.
        low, high: range of the joint, radians.
        speed: largest joint velocity, radians a second.
        torque: largest joint torque, newton metres.
        stiffness: of its position servo, newton metres a radian.
        mass: kilograms.
        capsules: its shape.
    """

    a: float
    d: float
    alpha: float
    low: float
    high: float
    speed: float
    torque: float
    stiffness: float
    mass: float
    capsules: tuple[Capsule, ...]


_RIGHT = math.pi / 2
_O = (0.0, 0.0, 0.0)

# fmt: off
LINKS = (
    Link(0.0, 0.333, 0.0, -2.8973, 2.8973, 2.175, 87, 4500, 4.97,
         (((0, 0, -0.135), _O, 0.056), ((0, -0.072, 0), _O, 0.055))),
    Link(0.0, 0.0, -_RIGHT, -1.7628, 1.7628, 2.175, 87, 4500, 0.65,
         (((0, -0.138, 0), _O, 0.055), (_O, (0, 0, 0.074), 0.055))),
    Link(0.0, 0.316, _RIGHT, -2.8973, 2.8973, 2.175, 87, 3500, 3.23,
         (((0, 0, -0.065), _O, 0.055), ((0.0825, 0, 0), (0.0825, 0.056, 0), 0.055), (_O, (0.0825, 0, 0), 0.045))),
    Link(0.0825, 0.0, _RIGHT, -3.0718, -0.0698, 2.175, 87, 3500, 3.59,
         ((_O, (0, 0, 0.056), 0.055), ((-0.0825, 0.03, 0), (-0.0825, 0.068, 0), 0.055),
          (_O, (-0.0825, 0.03, 0), 0.045))),
    Link(-0.0825, 0.384, -_RIGHT, -2.8973, 2.8973, 2.61, 12, 2000, 1.23,
         (((0, 0, -0.21), (0, 0.03, -0.12), 0.052), ((0, 0.06, -0.17), (0, 0.075, -0.03), 0.035),
          (_O, (0, 0.06, -0.03), 0.05))),
    Link(0.0, 0.0, _RIGHT, -0.0175, 3.7525, 2.61, 12, 2000, 1.67,
         ((_O, (0.05, 0, 0), 0.048), ((0.088, 0, 0), (0.088, 0.035, 0), 0.044))),
    Link(0.088, 0.0, _RIGHT, -2.8973, 2.8973, 2.61, 12, 2000, 0.74,
         (((0, 0, 0.062), (0, 0, 0.09), 0.044), ((0.03, 0.03, 0.085), (0.05, 0.05, 0.09), 0.022))),
)
# fmt: on

JOINTS = tuple(f"joint{i}" for i in range(1, 8))
LOW, HIGH = (np.array([getattr(link, name) for link in LINKS]) for name in ("low", "high"))
SPEEDS = np.array([link.speed for link in LINKS])
START_JOINTS = np.array([0.0, 0.2497, 0.0, -2.7145, 0.0, 2.9642, 0.7854])
"""Radians: the tool centre point at (0.395, 0, 0.045), pointing straight down."""

TCP = "tcp"  # the site between the finger tips
ARM = "link1"  # the body whose subtree is everything that moves

_FLANGE = 0.107  # metres along the last joint's axis
_REACH = 0.1034  # from the flange to the tool centre point
_HAND_MASS = 0.73
_FINGERS = 0.0584  # from the hand's frame to that of a finger's mesh
_DAMPING_RATIO = 0.02  # kv / kp; the 0.1 of other models trails the command by 0.1 s
_WHITE, _DARK = "0.93 0.93 0.95 1", "0.07 0.07 0.08 1"

DEFAULTS = """
  <default class="arm">
    <joint damping="1" armature="0.1"/>
    <geom contype="1" conaffinity="6"/>
  </default>
  <default class="look"><geom type="mesh" contype="0" conaffinity="0" mass="0"/></default>"""
"""Contact bits: arm 1, objects 2, table 4. The arm meets objects and table, never itself."""


def bodies(meshes: bool) -> str:
    """XML of the arm, its base in the origin; with ``meshes`` those are seen and the primitives only collide."""
    opacity = " 0" if meshes else " 1"
    white, dark = (colour.rpartition(" ")[0] + opacity for colour in (_WHITE, _DARK))
    inner = _hand(white, dark, meshes)
    for number, link in reversed(list(enumerate(LINKS, start=1))):
        inner = _link(number, link, white, meshes) + inner + "</body>"
    return (
        '<body name="link0" childclass="arm">'
        f'<geom type="cylinder" size="0.08 0.07" pos="0 0 0.07" contype="0" conaffinity="0" rgba="{white}"/>'
        f"{_look('link0', _WHITE) if meshes else ''}{inner}</body>"
    )


def _link(number: int, link: Link, colour: str, meshes: bool) -> str:
    """XML of a link, left open for what it carries."""
    place = (link.a, -link.d * math.sin(link.alpha), link.d * math.cos(link.alpha))
    turn = (math.cos(link.alpha / 2), math.sin(link.alpha / 2), 0.0, 0.0)
    mass = link.mass / len(link.capsules)
    shape = "".join(
        f'<geom type="capsule" fromto="{numbers((*p, *q))}" size="{radius}" mass="{mass}" rgba="{colour}"/>'
        for p, q, radius in link.capsules
    )
    look = _look(f"link{number}", _WHITE) if meshes else ""
    return (
        f'<body name="link{number}" pos="{numbers(place)}" quat="{numbers(turn)}" gravcomp="1">'
        f'<joint name="joint{number}" axis="0 0 1" range="{link.low} {link.high}"/>{shape}{look}'
    )


def _hand(white: str, dark: str, meshes: bool) -> str:
    """XML of the hand with its fingers closed, 21 x 22 mm across, their tips 8.6 mm below the tool centre point."""
    fingers = "".join(
        f'<geom type="box" size="0.0105 0.0055 0.0265" pos="0 {y} 0.0855" mass="0.015" rgba="{dark}"/>'
        for y in (0.0055, -0.0055)
    )
    look = ""
    if meshes:
        look = _look("hand", _WHITE) + _look("finger", _DARK, f'pos="0 0 {_FINGERS}"')
        look += _look("finger", _DARK, f'pos="0 0 {_FINGERS}" quat="0 0 0 1"')
    return (
        f'<body name="hand" pos="0 0 {_FLANGE}" quat="{z_rotation(-math.pi / 4)}" gravcomp="1">'
        f'<geom type="box" size="0.031 0.102 0.033" pos="0 0 0.033" mass="{_HAND_MASS - 0.03}" rgba="{white}"/>'
        f'{fingers}{look}<site name="{TCP}" pos="0 0 {_REACH}"/></body>'
    )


def _look(mesh: str, colour: str, place: str = "") -> str:
    return f'<geom class="look" mesh="{mesh}" rgba="{colour}" {place}/>'


def servos() -> str:
    """XML of a position servo for each joint, as strong as the real one."""
    return "".join(
        f'<position name="servo{number}" joint="joint{number}" kp="{link.stiffness}" '
        f'kv="{_DAMPING_RATIO * link.stiffness}" ctrlrange="{link.low} {link.high}" '
        f'forcerange="{-link.torque} {link.torque}"/>'
        for number, link in enumerate(LINKS, start=1)
    )
