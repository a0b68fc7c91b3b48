"""Evaluation on fixed seeds: Reward, Cost, and whether the agent's estimates agree with what then happened."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from fosp.agents.base import Agent, Mode
from fosp.config import EnvConfig
from fosp.envs import make_env_unseen
from fosp.envs.behaviours import make_behaviour
from fosp.errors import InputError
from fosp.training.progress import Progress, SilentProgress
from fosp.training.rollout import Rollout, open_environments, rollout

EVALUATION_SEED = 1_000_000
"""Seed of the first evaluation episode; datasets and online episodes use smaller ones."""


@dataclass
class EvaluationResult:
    """Undiscounted totals of evaluation episodes, one entry per episode."""

    agent: str
    mode: str
    env: str
    observation: str
    seeds: list[int]
    returns: list[float]
    costs: list[float]
    lengths: list[int]
    calibration: dict[str, float] = field(default_factory=dict)
    rollouts: list[Rollout] = field(default_factory=list, repr=False)

    @property
    def reward(self) -> float:
        """Reward: mean episode return."""
        return float(np.mean(self.returns))

    @property
    def cost(self) -> float:
        """Cost: mean episode cost."""
        return float(np.mean(self.costs))

    def append_to(self, path: Path, *, phase: str, update: int, frames: int, cost_regret: float | None) -> None:
        """Append one line to an ``evaluations.jsonl``."""
        line: dict[str, Any] = {
            "phase": phase,
            "update": update,
            "frames": frames,
            "cost_regret": cost_regret,
            **{
                name: getattr(self, name)
                for name in (
                    "agent",
                    "mode",
                    "env",
                    "observation",
                    "seeds",
                    "returns",
                    "costs",
                    "lengths",
                    "calibration",
                )
            },
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def evaluate(
    agent: Agent,
    env: EnvConfig,
    episodes: int,
    *,
    mode: Mode = "mean",
    name: str | None = None,
    first_seed: int = EVALUATION_SEED,
    environments: VectorEnv | None = None,
    count: int = 1,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Run `episodes` episodes on seeds first_seed, first_seed + 1, ...

    Args:
        agent: in whatever phase it is; its training randomness is not touched.
        env: the environment.
        episodes: how many.
        mode: "mean" or "sample" actions.
        name: how the result calls the agent (default: its configured name).
        first_seed: reset seed of the first episode.
        environments: to use instead of opening `count` new ones.
        count: environments stepping together.
        progress: told of every episode step.

    Raises:
        InputError: there is nothing to do, or a seed is negative.
    """
    _check_seeds(episodes, first_seed)
    own = environments is None
    vector = open_environments(env, min(count, episodes)) if environments is None else environments
    generator = torch.Generator(agent.device).manual_seed(first_seed)
    progress = progress or SilentProgress()
    rollouts: list[Rollout] = []
    try:
        while len(rollouts) < episodes:
            first = first_seed + len(rollouts)
            seeds = range(first, first + min(vector.num_envs, episodes - len(rollouts)))
            rollouts += rollout(
                agent, vector, list(seeds), mode, generator, behaviour="evaluation", on_step=progress.update
            )
            progress.update(
                0,
                return_=float(np.mean([r.episode.total_reward for r in rollouts])),
                cost=float(np.mean([r.episode.total_cost for r in rollouts])),
            )
    finally:
        if own:
            vector.close()
    behaviour = agent.config.behaviour
    return EvaluationResult(
        agent=name or agent.config.agent,
        mode=mode,
        env=env.id,
        observation=env.observation,
        seeds=[r.episode.seed for r in rollouts],
        returns=[r.episode.total_reward for r in rollouts],
        costs=[r.episode.total_cost for r in rollouts],
        lengths=[len(r.episode) for r in rollouts],
        calibration=calibration(rollouts, behaviour.gamma, behaviour.reach_gamma),
        rollouts=rollouts,
    )


def _check_seeds(episodes: int, first_seed: int) -> None:
    if episodes < 1 or first_seed < 0:
        raise InputError(
            f"{episodes} episodes from seed {first_seed} on: give at least one episode, and a seed from 0 on."
        )


def evaluate_behaviour(
    name: str, env: EnvConfig, episodes: int, *, first_seed: int = EVALUATION_SEED, progress: Progress | None = None
) -> EvaluationResult:
    """The same for a scripted behaviour ("random", "safe", "unsafe"), which needs no pictures."""
    _check_seeds(episodes, first_seed)
    world = make_env_unseen(env.id, env.action_repeat)
    progress = progress or SilentProgress()
    returns, costs, lengths = [], [], []
    try:
        for seed in range(first_seed, first_seed + episodes):
            behaviour = make_behaviour(name, seed)
            world.reset(seed=seed)
            behaviour.reset(world)
            total, cost, steps, done = 0.0, 0.0, 0, False
            while not done:
                _, reward, terminated, truncated, info = world.step(behaviour.act(world))
                total, cost, steps = total + float(reward), cost + info["cost"], steps + 1
                done = terminated or truncated
                progress.update()
            returns.append(total)
            costs.append(cost)
            lengths.append(steps)
    finally:
        world.close()
    seeds = list(range(first_seed, first_seed + episodes))
    return EvaluationResult(behaviour_label(name), "sample", env.id, "privileged", seeds, returns, costs, lengths)


def behaviour_label(name: str) -> str:
    """How evaluations call the scripted behaviour `name`."""
    return f"behaviour:{name}"


def discounted_sums(signal: np.ndarray, gamma: float, last: float) -> np.ndarray:
    """sum over k of gamma^k x_{t+k}, with `last` standing for everything after the end; (n,) -> (n,)."""
    result, total = np.empty(len(signal)), last
    for t in reversed(range(len(signal))):
        total = signal[t] + gamma * total
        result[t] = total
    return result


def discounted_reach(violated: np.ndarray, gamma: float) -> np.ndarray:
    """gamma^k with k the steps until the next violation, 0 if none follows; (n,) bool -> (n,)."""
    result, value = np.empty(len(violated)), 0.0
    for t in reversed(range(len(violated))):
        value = max(float(violated[t]), gamma * value)
        result[t] = value
    return result


def calibration(rollouts: list[Rollout], gamma: float, reach_gamma: float) -> dict[str, float]:
    """Estimates against realised figures, over all steps of all episodes: mean error and correlation.

    At a time limit the critic's own last value stands for the future, so the comparison tests what came before.
    """
    if not rollouts or "value_reward" not in rollouts[0].info:
        return {}
    pairs: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}

    def add(name: str, estimate: np.ndarray, realised: np.ndarray) -> None:
        estimates, outcomes = pairs.setdefault(name, ([], []))
        estimates.append(estimate)
        outcomes.append(realised)

    for r in rollouts:
        tail = 0.0 if r.episode.terminated else 1.0
        for signal, values in (("reward", r.episode.rewards), ("cost", r.episode.costs)):
            estimate = r.info[f"value_{signal}"]
            add(f"value_{signal}", estimate, discounted_sums(values, gamma, tail * float(estimate[-1])))
        if "violation" in r.info:
            # p(s_t) looks at the cost of arriving in s_t, that of step t - 1; the last arrival has no estimate.
            violated = np.concatenate([[False], r.episode.costs > 0])
            add("violation", r.info["violation"], discounted_reach(violated, reach_gamma)[:-1])
    result = {}
    for name, (estimates, outcomes) in pairs.items():
        x, y = np.concatenate(estimates), np.concatenate(outcomes)
        result[f"calibration/{name}_mean"] = float(x.mean())
        result[f"calibration/{name}_error"] = float((x - y).mean())
        spread = x.std() * y.std()
        result[f"calibration/{name}_correlation"] = (
            float(((x - x.mean()) * (y - y.mean())).mean() / spread) if spread else 0.0
        )
    return result
