"""The control loop: a policy at a fixed rate, a guard that stops the arm, an operator who can, and a log of it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from fosp.data import Episode
from fosp.deploy.policy import Policy
from fosp.hardware.operator import ArmStoppedError
from fosp.training.rollout import Recorder

Clock = Callable[[], float]


@dataclass(frozen=True)
class Ride:
    """One episode under the loop."""

    episode: Episode | None
    """What was recorded; None if it was stopped before its first action."""
    ended: str
    """"finished", "guard" (the violation estimate exceeded the threshold), "operator" (the dead-man input) or "arm" (it
    was held by its own limits, errors or operator)."""
    steps: int
    late: int
    """Steps whose action came after its deadline."""
    slowest: float
    """Longest time from an observation to its action, seconds."""
    violation: float
    """Largest violation estimate, nan without estimates."""
    why: str = ""
    """What the arm said when it was held."""


def ride(
    policy: Policy,
    env: gymnasium.Env[dict[str, np.ndarray], Any],
    seed: int,
    *,
    period: float = 0.0,
    guard: bool = True,
    held: Callable[[], bool] = lambda: True,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Ride:
    """Play one episode.

    A step begins with an observation; its action must be out within `period`. One that is late is counted and goes out
    at once, and the next step gets its whole time: nothing is caught up. Guard and operator are asked between
    decision and action, so that an alarm's own action is not carried out.

    Args:
        policy: decides.
        env: with `policy.spaces`; if it drives an arm, its `stop` holds it.
        seed: of the environment's reset.
        period: seconds per step; 0: as fast as it goes.
        guard: whether an alarm stops the episode.
        held: the dead-man input: whether the operator wants it to go on.
        clock, sleep: of time, in seconds.
    """
    recorder = Recorder(seed)
    state, late, slowest, worst, ended, why = None, 0, 0.0, np.nan, "finished", ""
    try:
        observation, _ = env.reset(seed=seed)
        recorder.see(observation)
        began = clock()
        while not recorder.done:
            decision = policy(observation, state)
            state = decision.state
            worst = np.fmax(worst, decision.violation)
            if guard and decision.alarm:
                ended = "guard"
                break
            if not held():
                ended = "operator"
                break
            took = clock() - began
            slowest = max(slowest, took)
            late += bool(period and took > period)
            try:
                following, reward, terminated, truncated, info = env.step(decision.action)
            except ArmStoppedError as stopped:
                ended, why = "arm", str(stopped)
                break
            signals = {k: float(v) for k, v in info.items() if k in ("cost", "frames") or k.startswith("cost_")}
            recorder.step(
                decision.action,
                float(reward),
                signals,
                terminated,
                truncated,
                following,
                {"violation": decision.violation},
            )
            observation = following
            if period:
                sleep(max(0.0, began + period - clock()))
            began = clock()
    finally:
        if not recorder.done:
            stop(env)
    steps = len(recorder.actions)
    if steps and not recorder.done:
        recorder.truncated = True  # what would have come is not known
    episode = recorder.finish(f"policy ({ended})").episode if steps else None
    return Ride(episode, ended, steps, late, slowest, float(worst), why)


def stop(env: gymnasium.Env[Any, Any]) -> None:
    """Hold the arm, where there is one."""
    if (hold := getattr(env.unwrapped, "stop", None)) is not None:
        hold()
