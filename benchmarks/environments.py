"""How fast the environments are, on this machine and against the original.

    python benchmarks/environments.py [--task SafetyPointGoal1-v0] [--seconds 3]

Single figures are measured on one core. The original's own figures are measured in the same run where the package
safety_gymnasium is importable. Elsewhere its published figures stand beside ours, but they come from another machine;
what is measured in every run is the same world drawn by a plain mujoco.Renderer, as the original draws it.

SafeReach has no original; its figures (--task SafeReach-v0) are CPU time, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable

import gymnasium
import numpy as np

from fosp.envs import make_env, make_vec_env  # before mujoco: it settles which OpenGL back end that loads
from fosp.envs.gl import choose_backend
from fosp.envs.navigation.env import NavigationEnv

import mujoco  # isort: skip

# The original on one core of another machine: frames/s of physics, agent steps/s with two views, milliseconds a reset.
PUBLISHED = {"frames/s": 520.0, "steps/s": 35.0, "reset ms": 400.0}


def rate(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Calls per second, after a warm-up."""
    for _ in range(3):
        call()
    count, begin = 0, clock()
    while (passed := clock() - begin) < seconds:
        call()
        count += 1
    return count / passed


def stepper(env: gymnasium.Env) -> Callable[[], object]:
    """Steps an environment with changing actions, resetting it when an episode ends."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, env.action_space.shape))
        if terminated or truncated:
            env.reset()

    return step


def plain_renderer(env: NavigationEnv, samples: int) -> Callable[[], object]:
    """A step whose two views are drawn by mujoco.Renderer from the model as it stands."""
    step = stepper(env)
    model = mujoco.MjModel.from_xml_string(env.unwrapped.simulation.world.xml(drawing=True))
    model.vis.quality.offsamples = samples
    renderer = mujoco.Renderer(model, 64, 64)
    option = mujoco.MjvOption()
    option.geomgroup[:] = 1

    def step_and_draw() -> None:
        step()
        for camera in ("vision", "vision_back"):
            renderer.update_scene(env.unwrapped.simulation.world.data, camera, option)
            renderer.render()

    return step_and_draw


def vector_rate(env_id: str, n: int, seconds: float) -> float:
    """Agent steps per second of all environments together."""
    env = make_vec_env(env_id, n)
    try:
        env.reset(seed=0)
        actions = np.random.default_rng(0).uniform(-1, 1, (n, 2)).astype(np.float32)
        return n * rate(lambda: env.step(actions), seconds)
    finally:
        env.close()


def genuine(env_id: str, seconds: float) -> dict[str, float]:
    """The original's figures on this machine."""
    frames = make_env(f"safety_gymnasium:{env_id}", observation="vector", action_repeat=1)
    steps = make_env(f"safety_gymnasium:{env_id}", observation="image")
    result = {
        "frames/s": rate(stepper(frames), seconds),
        "steps/s": rate(stepper(steps), seconds),
        "reset ms": 1e3 / rate(frames.reset, seconds),
    }
    frames.close()
    steps.close()
    return result


def reach(env_id: str, seconds: float) -> None:
    """SafeReach: control steps with and without the picture, resets included, and resets alone."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    print(f"\n{'one core, CPU time':34}{'here':>8}")
    blind = make_env(env_id, observation="vector")
    print(f"{'pose only, control steps/s':34}{rate(stepper(blind), seconds, time.process_time):8.0f}")
    for samples in (4, 0):
        seeing = make_env(env_id, observation="both", samples=samples)
        steps = rate(stepper(seeing), seconds, time.process_time)
        print(f"{f'picture too, {samples} samples, steps/s':34}{steps:8.0f}")
        seeing.close()
    print(f"{'reset, ms':34}{1e3 / rate(blind.reset, seconds, time.process_time):8.1f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="SafetyPointGoal1-v0", help="environment id")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    arguments = parser.parse_args()
    env_id, seconds = arguments.task, arguments.seconds
    cores = sorted(os.sched_getaffinity(0))
    print(f"{env_id}, MuJoCo {mujoco.__version__}, {choose_backend()}, {len(cores)} cores, {seconds:g} s each")
    if env_id.startswith("SafeReach"):
        return reach(env_id, seconds)

    os.sched_setaffinity(0, cores[-1:])
    measured = {}
    blind = make_env(env_id, observation="vector", action_repeat=1)
    measured["frames/s"] = rate(stepper(blind), seconds)
    measured["reset ms"] = 1e3 / rate(blind.reset, seconds)
    for samples in (4, 0):
        seeing = make_env(env_id, samples=samples)
        measured[f"steps/s, {samples} samples"] = rate(stepper(seeing), seconds)
        seeing.close()
    plain = {}
    for samples in (4, 0):
        base = make_env(env_id, observation="vector")
        plain[samples] = rate(plain_renderer(base, samples), seconds)
    os.sched_setaffinity(0, cores)

    here = importlib.util.find_spec("safety_gymnasium") is not None
    reference = genuine(env_id, seconds) if here else PUBLISHED
    source = "the original, this run" if here else "the original as published, on another machine"

    print(f"\n{'one core':34}{'here':>8}   {source}")
    print(f"{'physics and vector, frames/s':34}{measured['frames/s']:8.0f}   {reference['frames/s']:.0f}", end="")
    print(f" ({measured['frames/s'] / reference['frames/s']:.1f}x)")
    for samples in (4, 0):
        ours = measured[f"steps/s, {samples} samples"]
        ratio = ours / reference["steps/s"]
        print(
            f"{f'two views, repeat 4, {samples} samples, /s':34}{ours:8.0f}   {reference['steps/s']:.0f} ({ratio:.1f}x)"
        )
    print(f"{'reset, ms':34}{measured['reset ms']:8.1f}   {reference['reset ms']:.0f}", end="")
    print(f" ({reference['reset ms'] / measured['reset ms']:.0f}x)")
    print("\nthe same world through a plain mujoco.Renderer, this run:")
    for samples in (4, 0):
        ratio = measured[f"steps/s, {samples} samples"] / plain[samples]
        print(f"{f'  {samples} samples, /s':34}{plain[samples]:8.0f}   ours is {ratio:.1f}x")
    print(f"\nprocesses on {len(cores)} cores, two views, repeat 4:")
    alone = vector_rate(env_id, 1, seconds)
    print(f"{'  1, steps/s':34}{alone:8.0f}")
    for n in sorted({2, len(cores)}):
        together = vector_rate(env_id, n, seconds)
        print(f"{f'  {n}, steps/s':34}{together:8.0f}   {together / alone:.2f}x")


if __name__ == "__main__":
    main()
