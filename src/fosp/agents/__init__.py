"""Algorithms, one file each; all keep the contract of `fosp.agents.base.Agent`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import torch

from fosp.agents.base import Agent, ModelBasedAgent
from fosp.config import Config
from fosp.errors import InputError

AGENTS = {
    "fosp": "FOSP",
    "random": "Random",
    "bc": "BehaviourCloning",
    "dreamer": "Dreamer",
    "safe_dreamer": "SafeDreamer",
    "recovery_rl": "RecoveryRL",
    "ppo_lagrangian": "PPOLagrangian",
    "cpo": "CPO",
}
"""Class of each agent, in the module of its name; imported when it is asked for, since some need an extra."""

ON_POLICY = ("ppo_lagrangian", "cpo")
"""Those without a world model, which learn online only."""


def make_agent(
    config: Config, spaces: Mapping[str, tuple[int, ...]], actions: int, device: torch.device | None = None
) -> Agent:
    """The agent that `config.agent` names, on `device` (by default the one `config.device` resolves to).

    Args:
        config: settings of the run.
        spaces: shape of each observation, "image" (64, 64, C) and/or "vector" (D,).
        actions: size of the action.

    Raises:
        InputError: there is no such agent or device, the agent's extra is not installed, or pictures have another size.
    """
    if config.agent not in AGENTS:
        raise InputError(f"There is no agent '{config.agent}'; choose one of {', '.join(AGENTS)}.")
    if "image" in spaces and tuple(spaces["image"][:2]) != (64, 64):
        height, width = spaces["image"][:2]
        raise InputError(f"Pictures are {height}x{width} pixels: let the environment give 64x64.")
    kind = getattr(import_module(f"fosp.agents.{config.agent}"), AGENTS[config.agent])
    return kind(config, spaces, actions, device or resolve_device(config.device))


def make_model_based(
    config: Config, spaces: Mapping[str, tuple[int, ...]], actions: int, device: torch.device
) -> ModelBasedAgent:
    """As `make_agent`; raises `InputError` for an agent that cannot learn from a dataset."""
    agent = None if config.agent in ON_POLICY else make_agent(config, spaces, actions, device)
    if not isinstance(agent, ModelBasedAgent):
        raise InputError(f"Agent {config.agent} has no world model and learns online only: use fosp train.")
    return agent


def resolve_device(name: str) -> torch.device:
    """ "auto" takes a GPU where there is one; raises `InputError` where the device asked for is missing."""
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"There is no device '{name}'; choose auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("Device 'cuda' was asked for but PyTorch finds no GPU here; use --device cpu or auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
