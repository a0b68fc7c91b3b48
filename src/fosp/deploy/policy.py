"""An exported policy at work. Needs torch, numpy and the policy's directory, and nothing of what trained it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fosp.errors import InputError

POLICY_VERSION = 1
GRAPH, FACTS = "step.pt2", "policy.json"


class PolicyState(NamedTuple):
    """What a policy remembers between steps."""

    h: Tensor
    """Deterministic part of the model's state, (1, D)."""
    z: Tensor
    """Stochastic part, (1, S * K)."""
    action: Tensor
    """The last action, as it was given out, (1, A)."""


class Decision(NamedTuple):
    """One step of a policy."""

    action: np.ndarray
    """Within +- the speed limit, (A,) float32."""
    violation: float
    """Estimated probability of a violation to come; nan for an agent that makes no such estimate."""
    alarm: bool
    """Whether the estimate exceeds the guard's threshold: stop."""
    state: PolicyState


class Policy:
    """A policy from a directory made by `fosp export`, for one robot.

    Args:
        path: the directory.
        seed: of the numbers that the model's posterior is sampled with.

    Attributes:
        spaces: shape of each observation. actions: size A of the action. threshold: the guard's; None without one.

    Raises:
        InputError: the directory holds no policy, a damaged one or one of another version.
    """

    def __init__(self, path: Path, seed: int = 0) -> None:
        facts = read_facts(path)
        try:
            self._step = load_graph(path / GRAPH)
        except Exception as error:  # damage shows as whatever the reader happens to stumble over
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"{path / GRAPH} is missing or damaged ({first}): export the policy again.") from None
        self.spaces = {name: tuple(shape) for name, shape in facts["spaces"].items()}
        self.actions: int = facts["actions"]
        self.threshold: float | None = facts["threshold"]
        self._sizes: Mapping[str, int] = facts["state"]
        self._generator = torch.Generator().manual_seed(seed)

    def initial_state(self) -> PolicyState:
        """Before the first observation of an episode."""
        return PolicyState(
            torch.zeros(1, self._sizes["h"]), torch.zeros(1, self._sizes["z"]), torch.zeros(1, self.actions)
        )

    @torch.no_grad()
    def __call__(self, observation: Mapping[str, np.ndarray], state: PolicyState | None = None) -> Decision:
        """Take in one observation and decide.

        Args:
            observation: "image" (64, 64, C) uint8 and/or "vector" (D,), as `spaces` says.
            state: of the last decision; None before the first observation of an episode.

        Raises:
            InputError: the observation is not what the policy was trained on, or not finite.
        """
        first = state is None
        state = state or self.initial_state()
        inputs = {}
        for name, shape in self.spaces.items():
            value = np.asarray(observation[name]) if name in observation else None
            if value is None or value.shape != shape or (name == "image" and value.dtype != np.uint8):
                got = "missing" if value is None else f"{value.dtype} {value.shape}"
                kind = "uint8" if name == "image" else "float"
                raise InputError(f"observation '{name}' is {got}; the policy needs {kind} {shape}.")
            if not np.isfinite(value).all():
                where = np.flatnonzero(~np.isfinite(value))[0]
                raise InputError(f"observation '{name}' is not finite at entry {where}: stop, and look at that sensor.")
            inputs[name] = torch.as_tensor(value if name == "image" else value.astype(np.float32)).unsqueeze(0)
        noise = torch.rand(1, self._sizes["latents"], generator=self._generator)
        action, violation, h, z = self._step(inputs, *state, torch.tensor([first]), noise)
        estimate = float(violation)
        alarm = self.threshold is not None and not estimate <= self.threshold  # nan alarms as well
        return Decision(action[0].numpy(), estimate, alarm, PolicyState(h, z, action))


def load_graph(path: Path) -> torch.nn.Module:
    """The exported graph in `path`, ready to be called."""
    return torch.export.load(path).module()


def read_facts(path: Path) -> dict[str, Any]:
    """What ``policy.json`` in a policy's directory says; raises `InputError` where it is none."""
    try:
        facts = json.loads((path / FACTS).read_text())
    except FileNotFoundError:
        raise InputError(f"{path} holds no policy: there is no {FACTS}. Make one with fosp export.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path / FACTS} cannot be read ({error}): export the policy again.") from None
    if facts.get("version") != POLICY_VERSION:
        raise InputError(f"{path} has version {facts.get('version')}, this fosp reads version {POLICY_VERSION}.")
    return facts
