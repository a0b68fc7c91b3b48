"""Settings that belong to one agent each; the shared ones are in `fosp.config`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fosp.errors import InputError
from fosp.settings import check_settings


@dataclass(frozen=True, kw_only=True)
class DreamerConfig:
    """DreamerV3: what its behaviour settings do not say."""

    ensemble: int = 5
    """Members of the ensemble of latent dynamics."""
    uncertainty_penalty: float = 0.01
    """alpha: how much a nat of the ensemble's disagreement takes from an imagined reward offline."""

    def __post_init__(self) -> None:
        check_settings(self, "dreamer.")
        if self.ensemble < 2:
            raise InputError(
                f"Setting dreamer.ensemble is {self.ensemble}: it takes 2 to disagree. To do without, set "
                "dreamer.uncertainty_penalty to 0."
            )


@dataclass(frozen=True, kw_only=True)
class SafeDreamerConfig:
    """SafeDreamer: what the behaviour settings do not say."""

    variant: Literal["bsrp_lag", "osrp", "osrp_lag"] = "bsrp_lag"
    """bsrp_lag: an actor trained with the augmented Lagrangian; osrp: planning while acting; osrp_lag: planning with a
    multiplier under PID control."""
    cost_limit: float = 0.0
    """Cost that an episode may have: the budget."""
    penalty: float = 1e-4
    """bsrp_lag: mu at the start, in place of behaviour.penalty: an actor that no data hold back gives up the reward for
    less than FOSP's does (docs/safe_dreamer.md)."""
    multiplier_limit: float = 8.0
    """bsrp_lag: largest lambda_p (0: none, as in the preset paper)."""
    plan_horizon: int = 15
    """Steps of a plan."""
    plan_samples: int = 500
    """Plans per iteration."""
    plan_actor_samples: int = 25
    """How many of them are what the actor would do."""
    plan_elites: int = 50
    """Plans that decide where the next iteration samples."""
    plan_tolerance: float = 0.5
    """Predicted cost of a plan, beyond its share of the limit, that still passes: no head predicts exactly 0."""
    plan_iterations: int = 6
    """Iterations per action."""
    plan_momentum: float = 0.1
    """Share of the old mean and deviation that stays."""
    plan_bfloat16: bool = True
    """Matrix products of planning in bfloat16, where the processor has instructions for it: emulated, an action takes
    seven times as long."""
    pid_proportional: float = 0.1
    """Gain of the smoothed excess of imagined costs over the budget (osrp, osrp_lag)."""
    pid_integral: float = 5e-4
    """Gain of its sum."""
    pid_derivative: float = 0.1
    """Gain of the growth of the cost."""

    def __post_init__(self) -> None:
        check_settings(self, "safe_dreamer.")
        for name, limit in (("plan_elites", self.plan_samples), ("plan_actor_samples", self.plan_samples - 1)):
            if getattr(self, name) > limit:
                raise InputError(
                    f"Setting safe_dreamer.{name} is {getattr(self, name)}: with safe_dreamer.plan_samples = "
                    f"{self.plan_samples} it must not exceed {limit}."
                )


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig:
    """PPO-Lagrangian and CPO."""

    episodes: int = 8
    """Episodes between updates of the policy."""
    cost_limit: float = 25.0
    """Cost that an episode may have; 25 is the custom of Safety Gym."""
    advantage_lambda: float = 0.95
    """Lambda of the generalised advantages; their discount is behaviour.gamma."""
    learning_rate: float = 3e-4
    """Of everything that Adam trains."""
    epochs: int = 10
    """Passes over a round of episodes."""
    minibatch: int = 256
    """Steps in a minibatch."""
    clip: float = 0.2
    """PPO: ratios beyond 1 -+ this gain nothing."""
    target_kl: float = 0.02
    """PPO: mean divergence of a pass, in nats, after which there is no further one."""
    entropy: float = 0.0
    """PPO: weight of the policy's entropy."""
    pid_proportional: float = 0.1
    """PPO: gain of the smoothed excess of an episode's cost over its limit."""
    pid_integral: float = 0.01
    """PPO: gain of its sum."""
    pid_derivative: float = 0.01
    """PPO: gain of the growth of the cost."""
    trust_region: float = 0.01
    """CPO: largest mean divergence of a step, in nats."""
    damping: float = 0.1
    """CPO: added to the diagonal of the divergence's Hessian."""
    conjugate_steps: int = 15
    """CPO: iterations of the conjugate gradient."""
    line_search: int = 15
    """CPO: lengths that are tried, each 0.8 of the one before."""


@dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """Recovery RL: what the behaviour settings do not say."""

    threshold: float = 0.1
    """eps_c: risk of the task policy's action above which the recovery policy acts. At 0.3 it mostly acts one step
    late (docs/recovery_rl.md)."""
    risk_gamma: float = 0.9
    """gamma_c, discount of the risk per agent step."""
    temperature: float = 0.1
    """alpha of soft actor-critic at the start."""
    entropy_below_uniform: float = 1.2
    """Nats per dimension of the action by which the entropy that the temperature aims at lies below the uniform's."""
    plan_horizon: int = 5
    """Steps of a recovery plan."""
    plan_samples: int = 100
    """Plans per iteration."""
    plan_elites: int = 10
    """Plans that decide where the next iteration samples."""
    plan_iterations: int = 3
    """Iterations per action."""

    def __post_init__(self) -> None:
        check_settings(self, "recovery_rl.")
        if self.plan_elites > self.plan_samples:
            raise InputError(
                f"Setting recovery_rl.plan_elites is {self.plan_elites}: it must not exceed recovery_rl.plan_samples, "
                f"{self.plan_samples}."
            )
