"""Choosing and opening an OpenGL back end for rendering without a screen."""

from __future__ import annotations

import ctypes
import ctypes.util
import glob
import importlib
import os
import sys
from typing import Any

from fosp.errors import InputError

BACKENDS = ("egl", "osmesa", "glfw")
_ANY = ("enable", "enabled", "on", "true", "1")
_OTHERS = ("disable", "disabled", "off", "false", "0", "glx", "wgl", "cgl")
"""What mujoco takes as MUJOCO_GL beside these back ends: whichever there is; none, or one that needs a screen."""

ADVICE = (
    "install the Debian package libosmesa6 (apt-get install libosmesa6) and set MUJOCO_GL=osmesa, "
    "or set MUJOCO_GL=egl on a machine with a GPU driver; observation='vector' needs no OpenGL"
)


def _loads(*names: str) -> bool:
    """Whether one of these shared libraries can be loaded."""
    for name in names:
        try:
            ctypes.CDLL(name)
            return True
        except OSError:
            continue
    return False


def has_gpu_driver() -> bool:
    """Whether a GPU with an EGL driver seems to be present."""
    nvidia = os.path.exists("/dev/nvidiactl") and _loads("libEGL_nvidia.so.0")
    mesa = bool(glob.glob("/dev/dri/renderD*")) and _loads("libEGL_mesa.so.0")
    return (nvidia or mesa) and _loads("libEGL.so.1")


def _library_of(backend: str) -> bool:
    """Whether the library that ``import mujoco`` loads for this value of MUJOCO_GL is there."""
    if backend == "osmesa":
        return _loads("libOSMesa.so.8", "libOSMesa.so")
    if backend == "egl":
        return _loads("libEGL.so.1")
    try:
        importlib.import_module("glfw")
    except (ImportError, OSError):
        return False
    return True


def import_mujoco() -> None:
    """Imports mujoco with an OpenGL back end that draws here, or with none where its library is missing.

    Mujoco settles its back end at import, from MUJOCO_GL, and fails there if the library is missing, although physics
    and vector observations need none. Left alone it chooses GLFW, which draws nothing without a display. So where
    MUJOCO_GL is not set and there is no display, it is set here, for this process and its children.
    """
    if "mujoco" in sys.modules:
        return
    asked = os.environ.get("MUJOCO_GL")
    if not asked and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = choose_backend()
    if asked and asked.lower().strip() not in (*BACKENDS, *_ANY, *_OTHERS):
        raise InputError(f"MUJOCO_GL={asked!r} is unknown: set it to egl, osmesa, glfw or disable, or unset it.")
    if _library_of(os.environ.get("MUJOCO_GL", "").lower().strip()):
        return
    os.environ["MUJOCO_GL"] = "disable"
    try:
        importlib.import_module("mujoco")
    finally:
        del os.environ["MUJOCO_GL"]
        if asked is not None:
            os.environ["MUJOCO_GL"] = asked


def choose_backend() -> str:
    """The back end to render with: ``MUJOCO_GL`` where it is set, else the best that this machine seems to have.

    A GPU through EGL comes first, then software through OSMesa, then a display through GLFW.

    Raises:
        InputError: if ``MUJOCO_GL`` names a back end that cannot draw here.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in BACKENDS:
        return asked
    if asked not in ("", *_ANY):
        raise InputError(f"MUJOCO_GL={asked!r} cannot render images: set it to egl, osmesa or glfw, or unset it.")
    if has_gpu_driver():
        return "egl"
    if _loads("libOSMesa.so.8", "libOSMesa.so") or not os.environ.get("DISPLAY"):
        return "osmesa"
    return "glfw"


def create_context(width: int, height: int) -> Any:
    """An OpenGL context of MuJoCo's (``make_current``, ``free``) for pictures up to ``width`` x ``height`` pixels.

    Raises:
        InputError: if the chosen back end does not work on this machine; the message says how to get one.
    """
    backend = choose_backend()
    if backend != "glfw" and os.environ.get("PYOPENGL_PLATFORM", backend).lower() != backend:
        platform = os.environ["PYOPENGL_PLATFORM"]
        raise InputError(f"PYOPENGL_PLATFORM={platform} contradicts the OpenGL back end {backend!r}: unset it.")
    if backend == "osmesa":
        # Pictures this small are drawn fastest by the calling thread alone (220 against 165-190 steps a second of Goal1
        # on two cores), and threads of several environments would get into each other's way.
        os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        # The classes are imported by name because mujoco.GLContext is fixed by MUJOCO_GL as it was at mujoco's import.
        return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    except Exception as error:  # a missing library surfaces as anything from ImportError to AttributeError
        raise no_opengl(error) from error


def no_opengl(error: Exception) -> InputError:
    """What to tell when the chosen back end fails with ``error``."""
    return InputError(f"OpenGL through {choose_backend()!r} does not work here ({type(error).__name__}): {ADVICE}.")
