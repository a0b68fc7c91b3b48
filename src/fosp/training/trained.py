"""Agents of run directories: opening and measuring them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fosp.agents import make_agent, resolve_device
from fosp.agents.base import Agent, Mode
from fosp.config import EnvConfig, change, load_config
from fosp.training.checkpoint import checkpoint_info, load_checkpoint, notice_unfinished
from fosp.training.evaluation import EVALUATION_SEED, EvaluationResult, evaluate, evaluate_behaviour
from fosp.training.progress import Progress
from fosp.training.rollout import check_fits, open_environments


@dataclass(frozen=True)
class Trained:
    """A run's agent and how far it had come when it was saved."""

    agent: Agent
    phase: str
    update: int
    frames: int
    cost_regret: float | None


def load_trained(run: Path, device: str = "auto", changes: Mapping[str, Any] | None = None) -> Trained:
    """The agent in `run`, if need be with `changes` of settings (by dotted name) that nothing learned depends on.

    Raises:
        InputError: there is none, or it does not fit its settings.
    """
    config = dataclasses.replace(change(load_config(run / "config.yaml"), changes or {}), device=device)
    saved = checkpoint_info(run)
    notice_unfinished(run)
    spaces = {name: tuple(shape) for name, shape in saved["spaces"].items()}
    agent = make_agent(config, spaces, saved["actions"], resolve_device(device))
    loop = load_checkpoint(run, agent, optimisers=False)
    counters = loop.get("counters", {})
    frames = counters.get("frames", 0)
    return Trained(agent, loop["phase"], loop["update"], frames, counters["cost"] / frames if frames else None)


def env_of(run: Path, env: str | None) -> EnvConfig:
    """The environment of a run, or another one with the same settings."""
    config = load_config(run / "config.yaml").env
    return config if env is None else dataclasses.replace(config, id=env)


def measure_agent(
    run: Path,
    episodes: int,
    progress: Progress,
    *,
    env: str | None = None,
    mode: Mode = "mean",
    seed: int | None = None,
    environments: int = 1,
    device: str = "auto",
) -> EvaluationResult:
    """Evaluate the agent of `run` in its environment, or in `env`, and append the result to its evaluations."""
    trained, config = load_trained(run, device), env_of(run, env)
    vector = open_environments(config, max(1, min(environments, episodes)))
    try:
        check_fits(trained.agent, vector, config.id)
        progress.start(episodes * config.steps, f"evaluate {trained.agent.config.agent} ({mode})")
        first = EVALUATION_SEED if seed is None else seed
        result = evaluate(
            trained.agent, config, episodes, mode=mode, first_seed=first, environments=vector, progress=progress
        )
    finally:
        progress.close()
        vector.close()
    result.append_to(
        run / "evaluations.jsonl",
        phase=trained.phase,
        update=trained.update,
        frames=trained.frames,
        cost_regret=trained.cost_regret,
    )
    return result


def measure_behaviour(
    name: str, run: Path, episodes: int, progress: Progress, *, env: str | None = None, seed: int | None = None
) -> None:
    """Evaluate a scripted behaviour in the environment of `run`, as a yardstick among the run's evaluations."""
    config = env_of(run, env)
    progress.start(episodes * config.steps, f"evaluate {name}")
    try:
        first = EVALUATION_SEED if seed is None else seed
        result = evaluate_behaviour(name, config, episodes, first_seed=first, progress=progress)
    finally:
        progress.close()
    result.append_to(run / "evaluations.jsonl", phase="offline", update=0, frames=0, cost_regret=None)
