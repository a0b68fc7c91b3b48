"""Algorithms, one file each; all keep the contract of `fosp.agents.base.Agent`."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fosp.agents.base import Agent
from fosp.agents.bc import BehaviourCloning
from fosp.agents.dreamer import Dreamer
from fosp.agents.fosp import FOSP
from fosp.agents.recovery_rl import RecoveryRL
from fosp.agents.safe_dreamer import SafeDreamer
from fosp.config import Config
from fosp.errors import InputError

AGENTS: dict[str, type[Agent]] = {
    "fosp": FOSP,
    "bc": BehaviourCloning,
    "dreamer": Dreamer,
    "safe_dreamer": SafeDreamer,
    "recovery_rl": RecoveryRL,
}


def make_agent(
    config: Config, spaces: Mapping[str, tuple[int, ...]], actions: int, device: torch.device | None = None
) -> Agent:
    """The agent that `config.agent` names, on `device` (by default the one `config.device` resolves to).

    Args:
        config: settings of the run.
        spaces: shape of each observation, "image" (64, 64, C) and/or "vector" (D,).
        actions: size of the action.

    Raises:
        InputError: there is no such agent or device.
    """
    if config.agent not in AGENTS:
        raise InputError(f"There is no agent '{config.agent}'; choose one of {', '.join(AGENTS)}.")
    return AGENTS[config.agent](config, spaces, actions, device or resolve_device(config.device))


def resolve_device(name: str) -> torch.device:
    """ "auto" takes a GPU where there is one; raises `InputError` where the device asked for is missing."""
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"There is no device '{name}'; choose auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("Device 'cuda' was asked for but PyTorch finds no GPU here; use --device cpu or auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
