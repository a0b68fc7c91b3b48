"""Settings that belong to one agent each; the shared ones are in `fosp.config`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DreamerConfig:
    """DreamerV3."""


@dataclass(frozen=True, kw_only=True)
class SafeDreamerConfig:
    """SafeDreamer."""


@dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """Recovery RL."""


@dataclass(frozen=True, kw_only=True)
class PPOLagrangianConfig:
    """PPO-Lagrangian."""


@dataclass(frozen=True, kw_only=True)
class CPOConfig:
    """Constrained policy optimisation."""
