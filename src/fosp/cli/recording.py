"""Episodes of trained agents: into a dataset, or one to look at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from fosp.agents.base import Mode
from fosp.cli.policies import is_behaviour
from fosp.config import EnvConfig, env_config
from fosp.data import DatasetWriter, Episode
from fosp.data.collect import play_episode
from fosp.envs import make_env
from fosp.envs.behaviours import make_behaviour
from fosp.training.progress import Progress
from fosp.training.rollout import open_environments, rollout
from fosp.training.trained import check_fits, env_of, load_trained


def record_agent(
    run: Path, env: str | None, episodes: int, out: Path, seed: int, mode: Mode, device: str, progress: Progress
) -> None:
    """Play the agent of `run` until the dataset `out` has `episodes` episodes, from seeds seed, seed + 1, ...

    `env` is the run's own if None.
    """
    agent = load_trained(run, device).agent
    config = env_of(run, env)
    world = open_environments(config, 1)
    try:
        check_fits(agent, world, config.id)
        writer = DatasetWriter(
            out,
            env_id=config.id,
            observation_space=world.single_observation_space,
            action_space=world.single_action_space,
            metadata={
                "action_repeat": config.action_repeat,
                "collection": {"seed": seed, "run": str(run), "mode": mode},
            },
        )
        for number in range(len(writer), episodes):
            generator = torch.Generator(agent.device).manual_seed(seed + number)
            name = agent.config.agent
            (played,) = rollout(agent, world, [seed + number], mode, generator, behaviour=name)
            writer.add(played.episode)
            progress.update(return_=played.episode.total_reward, cost=played.episode.total_cost)
    finally:
        world.close()


def record_one(policy: str, env: str | None, seed: int, device: str) -> tuple[EnvConfig, Episode]:
    """One episode of a scripted behaviour or of a run's agent (mean action), and the environment it was played in."""
    if is_behaviour(policy):
        config = dataclasses.replace(env_config(env or EnvConfig.id), observation="vector")
        world = make_env(config.id, observation=config.observation, action_repeat=config.action_repeat)
        try:
            return config, play_episode(world, make_behaviour(policy, seed), seed)
        finally:
            world.close()
    agent = load_trained(Path(policy), device).agent
    config = env_of(Path(policy), env)
    worlds = open_environments(config, 1)
    try:
        check_fits(agent, worlds, config.id)
        generator = torch.Generator(agent.device).manual_seed(seed)
        (played,) = rollout(agent, worlds, [seed], "mean", generator, behaviour=agent.config.agent)
        return config, played.episode
    finally:
        worlds.close()
