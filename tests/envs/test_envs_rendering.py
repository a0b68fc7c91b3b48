"""Renderers are freed, and a machine without OpenGL gets a clear sentence."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from fosp.envs import gl, make_env
from fosp.envs.behaviours import make_behaviour
from fosp.errors import InputError

# A Python whose loader finds no OpenGL library at all.
WITHOUT_OPENGL = """
import ctypes, ctypes.util
real_find, real_load = ctypes.util.find_library, ctypes.CDLL
bad = ("OSMesa", "EGL", "GL", "GLU", "GLX", "glfw")
ctypes.util.find_library = lambda name: None if name in bad else real_find(name)
class NoGL(real_load):
    def __init__(self, name, *args, **kwargs):
        if name and any(part in str(name) for part in ("OSMesa", "libEGL", "libGL", "glfw")):
            raise OSError(f"{name}: cannot open shared object file")
        super().__init__(name, *args, **kwargs)
ctypes.CDLL = NoGL
ctypes.cdll = ctypes.LibraryLoader(NoGL)
from fosp.envs import make_env
from fosp.errors import InputError
env = make_env("SafetyPointGoal1-v0", observation="vector")
env.reset(seed=0)
env.step(env.action_space.sample())
print("vector works")
try:
    make_env("SafetyPointGoal1-v0").reset(seed=0)
except InputError as error:
    print("InputError:", error)
"""


@pytest.mark.parametrize("backend", ["osmesa", "egl", ""])
def test_without_opengl_vectors_work_and_images_name_the_package(backend):
    environment = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")}
    if backend:
        environment["MUJOCO_GL"] = backend
    run = subprocess.run([sys.executable, "-c", WITHOUT_OPENGL], env=environment, capture_output=True, text=True)
    assert "vector works" in run.stdout, run.stderr
    message = next(line for line in run.stdout.splitlines() if line.startswith("InputError:"))
    assert "libosmesa6" in message
    assert "MUJOCO_GL" in message


def test_glfw_without_a_display_is_named():
    environment = {k: v for k, v in os.environ.items() if k not in ("PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")}
    code = "from fosp.envs import make_env; make_env('SafetyPointGoal1-v0').reset(seed=0)"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**environment, "MUJOCO_GL": "glfw"}, capture_output=True, text=True
    )
    assert "InputError: OpenGL through 'glfw' does not work here" in run.stderr
    assert "libosmesa6" in run.stderr.splitlines()[-1]


def test_the_back_end_is_chosen_when_nothing_says_which(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(gl, "has_gpu_driver", lambda: True)
    assert gl.choose_backend() == "egl"
    monkeypatch.setattr(gl, "has_gpu_driver", lambda: False)
    assert gl.choose_backend() == "osmesa"
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(InputError, match="MUJOCO_GL"):
        gl.choose_backend()


def test_making_and_closing_leaks_nothing():
    def cycle(seed):
        env = make_env("SafetyPointGoal1-v0")
        env.reset(seed=seed)
        env.close()

    for seed in range(10):
        cycle(seed)
    before = _resident()
    for seed in range(15):
        cycle(seed)
    # 1000 cycles may grow by 50 MiB; an unfreed context is about 8 MiB, so 15 would show
    assert _resident() - before < 6 * 2**20


def _resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_one_context_serves_all_episodes():
    env = make_env("SafetyPointButton1-v0")
    for seed in range(4):
        env.reset(seed=seed)
    repeated = env.reset(seed=0)[0]["image"]
    fresh = make_env("SafetyPointButton1-v0")
    np.testing.assert_array_equal(repeated, fresh.reset(seed=0)[0]["image"])
    env.close()
    fresh.close()


def test_two_environments_draw_alternately():
    first, second = make_env("SafetyPointGoal1-v0"), make_env("SafetyPointPush1-v0")
    a, b = first.reset(seed=0)[0]["image"], second.reset(seed=0)[0]["image"]
    np.testing.assert_array_equal(first.unwrapped.first_person(), a)
    np.testing.assert_array_equal(second.unwrapped.first_person(), b)
    first.close()
    np.testing.assert_array_equal(second.unwrapped.first_person(), b)
    second.close()


def test_drawing_leaves_the_physics_alone():
    env, blind = make_env("SafetyCarGoal2-v0", observation="both"), make_env("SafetyCarGoal2-v0", observation="vector")
    env.reset(seed=3)
    blind.reset(seed=3)
    behaviour = make_behaviour("random", 0)
    behaviour.reset(env)
    for _ in range(20):
        action = behaviour.act(env)
        np.testing.assert_array_equal(env.step(action)[0]["vector"], blind.step(action)[0]["vector"])
    env.close()
