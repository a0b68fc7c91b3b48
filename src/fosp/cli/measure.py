"""Evaluations that end up in a run directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fosp.agents.base import Mode
from fosp.cli.clips import replay_scene
from fosp.cli.policies import check_fits, env_of, load_trained
from fosp.config import EnvConfig
from fosp.training.evaluation import EVALUATION_SEED, evaluate, evaluate_behaviour
from fosp.training.progress import Progress
from fosp.training.rollout import Rollout, open_environments


def measure_agent(
    run: Path,
    env: str | None,
    episodes: int,
    mode: Mode,
    seed: int | None,
    environments: int,
    video: bool,
    device: str,
    progress: Progress,
) -> None:
    """Evaluate the agent of `run` and append the result to its evaluations."""
    trained, config = load_trained(run, device), env_of(run, env)
    vector = open_environments(config, min(environments, episodes))
    try:
        check_fits(trained.agent, vector, config.id)
        progress.start(episodes * steps_of(config), f"evaluate {trained.agent.config.agent} ({mode})")
        result = evaluate(
            trained.agent,
            config,
            episodes,
            mode=mode,
            first_seed=EVALUATION_SEED if seed is None else seed,
            environments=vector,
            progress=progress,
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
    if video:
        film(run, config, result.rollouts[0])


def measure_behaviour(
    name: str, run: Path, env: str | None, episodes: int, seed: int | None, progress: Progress
) -> None:
    """Evaluate a scripted behaviour in the environment of `run`, as a yardstick among the run's evaluations."""
    config = env_of(run, env)
    progress.start(episodes * steps_of(config), f"evaluate {name}")
    try:
        first = EVALUATION_SEED if seed is None else seed
        result = evaluate_behaviour(name, config, episodes, first_seed=first, progress=progress)
    finally:
        progress.close()
    result.append_to(run / "evaluations.jsonl", phase="offline", update=0, frames=0, cost_regret=None)


def film(run: Path, config: EnvConfig, rollout: Rollout) -> None:
    """Keep an episode for the report: what the agent saw, the view from outside, predicted violation, cost, reward."""
    arrays = {
        "scene": replay_scene(config, rollout.episode),
        "reward": rollout.episode.rewards,
        "cost": rollout.episode.costs,
    }
    if "image" in rollout.episode.observations:
        arrays["frames"] = rollout.episode.observations["image"][:-1]
    if "violation" in rollout.info:
        arrays["violation"] = rollout.info["violation"]
    path = run / "artifacts" / "film.npz"
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".new.npz")
    np.savez_compressed(part, allow_pickle=False, **arrays)
    part.replace(path)


def steps_of(config: EnvConfig) -> int:
    """Agent steps in an episode that lasts until the time limit."""
    return -(-config.time_limit // config.action_repeat)
