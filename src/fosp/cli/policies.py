"""Opening what acts: a trained agent from its run directory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import gymnasium
from gymnasium.vector import VectorEnv

from fosp.agents import make_agent, resolve_device
from fosp.agents.base import Agent
from fosp.config import EnvConfig, load_config
from fosp.envs.behaviours import BEHAVIOURS
from fosp.errors import InputError
from fosp.training.checkpoint import checkpoint_info, load_checkpoint
from fosp.training.rollout import observation_spaces


@dataclass(frozen=True)
class Trained:
    """A run's agent and how far it had come when it was saved."""

    agent: Agent
    phase: str
    update: int
    frames: int
    cost_regret: float | None


def load_trained(run: Path, device: str = "auto") -> Trained:
    """The agent in `run`; raises `InputError` where there is none or it does not fit its settings."""
    config = dataclasses.replace(load_config(run / "config.yaml"), device=device)
    saved = checkpoint_info(run)
    spaces = {name: tuple(shape) for name, shape in saved["spaces"].items()}
    agent = make_agent(config, spaces, saved["actions"], resolve_device(device))
    loop = load_checkpoint(run, agent, optimisers=False)
    counters = loop.get("counters", {})
    frames = counters.get("frames", 0)
    return Trained(agent, loop["phase"], loop["update"], frames, counters["cost"] / frames if frames else None)


def check_fits(agent: Agent, env: gymnasium.Env | VectorEnv, env_id: str) -> None:
    """Raise `InputError` unless the agent's observations and actions are those of the environment."""
    spaces, actions = observation_spaces(env)
    if (spaces, actions) != (agent.spaces, agent.actions):
        raise InputError(
            f"The agent was trained on {agent.spaces} and {agent.actions} actions, but {env_id} has {spaces} and "
            f"{actions}: choose an environment of the same observation and robot."
        )


def env_of(run: Path, env: str | None) -> EnvConfig:
    """The environment of a run, or another one with the same settings."""
    config = load_config(run / "config.yaml").env
    return config if env is None else dataclasses.replace(config, id=env)


def is_behaviour(policy: str) -> bool:
    """Whether `policy` is a scripted behaviour; raises `InputError` where it is no run directory either."""
    if policy in BEHAVIOURS:
        return True
    if not Path(policy).exists():
        raise InputError(f"there is no policy '{policy}': give {', '.join(BEHAVIOURS)} or a run directory.")
    return False
