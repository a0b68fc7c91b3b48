"""Episodes of trained agents: into a dataset, or one to look at."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import torch

from fosp.agents.base import Mode
from fosp.cli.policies import is_behaviour
from fosp.config import EnvConfig, env_config
from fosp.data import DatasetWriter, Episode
from fosp.data.collect import play_episode
from fosp.envs import make_env_unseen
from fosp.envs.behaviours import make_behaviour
from fosp.errors import InputError
from fosp.training.progress import Progress
from fosp.training.rollout import check_fits, observation_spaces, open_environments, rollout
from fosp.training.trained import env_of, load_trained


def record_agent(
    run: Path,
    env: str | None,
    action_repeat: int | None,
    episodes: int,
    out: Path,
    seed: int,
    mode: Mode,
    device: str,
    progress: Progress,
) -> None:
    """Play the agent of `run` until the dataset `out` has `episodes` episodes, from seeds seed, seed + 1, ...

    `env` is the run's own if None. Raises `InputError` for another `action_repeat` than the run's.
    """
    agent = load_trained(run, device).agent
    config = env_of(run, env)
    if action_repeat not in (None, config.action_repeat):
        raise InputError(f"{run} holds actions for {config.action_repeat} frames: leave --action_repeat out.")
    if episodes < 1 or seed < 0:
        raise InputError(f"--episodes is {episodes} and --seed {seed}: give at least 1 and 0.")
    with closing(open_environments(config, 1)) as world:
        check_fits(agent, world, config.id)
        with DatasetWriter(
            out,
            env_id=config.id,
            observation_space=world.single_observation_space,
            action_space=world.single_action_space,
            metadata={
                "action_repeat": config.action_repeat,
                "collection": {"seed": seed, "run": str(run), "mode": mode},
            },
        ) as writer:
            for number in range(len(writer), episodes):
                generator = torch.Generator(agent.device).manual_seed(seed + number)
                name = agent.config.agent
                (played,) = rollout(agent, world, [seed + number], mode, generator, behaviour=name)
                writer.add(played.episode)
                progress.update(return_=played.episode.total_reward, cost=played.episode.total_cost)


def record_one(policy: str, env: str | None, seed: int, device: str) -> tuple[EnvConfig, Episode]:
    """One episode of a scripted behaviour or of a run's agent (mean action), and the environment it was played in."""
    if seed < 0:
        raise InputError(f"--seed is {seed}: it must be at least 0.")
    if is_behaviour(policy):
        config = env_config(env or EnvConfig.id)
        with closing(make_env_unseen(config.id, config.action_repeat)) as world:
            kinds = observation_spaces(world)[0].keys()
            config = dataclasses.replace(config, observation="vector" if "vector" in kinds else "image")
            return config, play_episode(world, make_behaviour(policy, seed), seed)
    agent = load_trained(Path(policy), device).agent
    config = env_of(Path(policy), env)
    with closing(open_environments(config, 1)) as worlds:
        check_fits(agent, worlds, config.id)
        generator = torch.Generator(agent.device).manual_seed(seed)
        (played,) = rollout(agent, worlds, [seed], "mean", generator, behaviour=agent.config.agent)
        return config, played.episode
