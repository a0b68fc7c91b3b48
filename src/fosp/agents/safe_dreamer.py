"""SafeDreamer (Huang et al., ICLR 2024): DreamerV3 with a cost critic and a Lagrangian, or with safe planning.

Three variants, `safe_dreamer.variant`:

- bsrp_lag: the actor maximises imagined returns minus the augmented Lagrangian of imagined costs beyond a budget; the
  only one that needs no environment, and so the one that is pretrained.
- osrp: while acting, constrained cross-entropy planning in the world model; the actor chases reward and proposes plans.
- osrp_lag: the same, and the actor and the plans' objective weigh costs by a multiplier under PID control.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fosp import parallel
from fosp.agents.base import Mode, in_bfloat16
from fosp.agents.dreamer import Dreamer
from fosp.agents.imagination import Dream
from fosp.config import Config
from fosp.models.critics import ValueCritic
from fosp.models.lagrangian import Multiplier, PIDMultiplier, discounted_budget
from fosp.models.planning import constrained_score, cross_entropy_plan
from fosp.models.rssm import Latent, repeat
from fosp.models.sparse import SparseLatent, SparsePrior
from fosp.models.weights import Scale
from fosp.models.world_model import Metrics


class SafeDreamer(Dreamer):
    """Dreamer's learning, with costs."""

    doubts: ClassVar[bool] = False

    def build(self) -> None:
        super().build()
        b, c, env = self.config.behaviour, self.config.safe_dreamer, self.config.env
        self.cost_critic = ValueCritic(self.world_model.features, b.units, b.layers)
        self.cost_scale = Scale("return")
        self.multiplier: Multiplier | PIDMultiplier = (
            Multiplier(b.multiplier, c.penalty, b.penalty_growth, c.multiplier_limit)
            if c.variant == "bsrp_lag"
            else PIDMultiplier(c.pid_proportional, c.pid_integral, c.pid_derivative)
        )
        self.budget = discounted_budget(c.cost_limit, b.gamma, env.steps)
        self.plan_budget = c.cost_limit * env.action_repeat / env.time_limit * c.plan_horizon + c.plan_tolerance

    def change_settings(self, before: Config) -> None:
        """lambda_p and mu carry over, unless they are set anew."""
        if isinstance(self.multiplier, Multiplier):
            if self.config.behaviour.multiplier != before.behaviour.multiplier:
                self.multiplier.multiplier.fill_(self.config.behaviour.multiplier)
            if self.config.safe_dreamer.penalty != before.safe_dreamer.penalty:
                self.multiplier.penalty.fill_(self.config.safe_dreamer.penalty)

    @property
    def plans(self) -> bool:
        return self.config.safe_dreamer.variant != "bsrp_lag"

    @property
    def critics(self) -> list[ValueCritic]:
        return [self.critic, self.cost_critic]

    # ---------------------------------------------------------------- acting

    def policy(self, s: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The actor's action, or the first of a plan."""
        info = {"value_reward": self.critic.value(s), "value_cost": self.cost_critic.value(s)}
        if self.config.safe_dreamer.variant == "bsrp_lag":
            return super().policy(s, mode, generator)[0], info
        return self.plan(s, generator)[:, 0], info

    @torch.no_grad()
    def plan(self, s: Tensor, generator: torch.Generator) -> Tensor:
        """Constrained cross-entropy planning from states (N, F); actions (N, H, A)."""
        c, rows = self.config.safe_dreamer, len(s)
        shape = (rows, c.plan_horizon, self.actions)
        own = c.plan_actor_samples
        start = self.world_model.rssm.split(s)
        draws = torch.randn(
            (c.plan_iterations, rows, c.plan_samples - own, *shape[1:]), generator=generator, device=self.device
        )
        # Plans are ranked among random ones: what bfloat16 rounds away is far less than they differ by.
        low = c.plan_bfloat16 and in_bfloat16("auto", self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            return cross_entropy_plan(
                lambda plans: self.rank(start, plans, generator),
                torch.zeros(shape, device=self.device),
                torch.ones(shape, device=self.device),
                draws,
                elites=c.plan_elites,
                momentum=c.plan_momentum,
                proposals=self.proposals(start, own, generator) if own else None,
            )

    def proposals(self, start: Latent, count: int, generator: torch.Generator) -> Tensor:
        """What the actor would do, imagined: plans (N, count, H, A)."""
        horizon, rows = self.config.safe_dreamer.plan_horizon, len(start.h)
        noise = self.noise(horizon, rows * count, self.actions, generator=generator)
        latent_noise = self.noise(*self.world_model.rssm.noise_shape(horizon, rows * count), generator=generator)
        _, action = self.world_model.imagine(
            repeat(start, count), lambda s, h: self.actor(s).sample(noise[h]), latent_noise
        )
        return action.unflatten(1, (rows, count)).movedim(0, 2)

    def rank(self, start: Latent, plans: Tensor, generator: torch.Generator) -> Tensor:
        """How good plans (N, S, H, A) are, (N, S): all of them are imagined at once, and judged step by step, while
        what a step consists of is still in the processor's cache."""
        c, gamma = self.config.safe_dreamer, self.config.behaviour.gamma
        rows, count, horizon, _ = plans.shape
        low = torch.is_autocast_enabled(self.device.type)
        dtype = torch.get_autocast_dtype(self.device.type) if low else plans.dtype
        prior = SparsePrior(self.world_model, dtype)
        actions = plans.flatten(0, 1).transpose(0, 1).to(dtype)  # (H, N * S, A)
        noise = self.noise(*self.world_model.rssm.noise_shape(horizon, rows * count), generator=generator)
        state = prior.start(start, count)
        value = cost = torch.zeros(rows * count, device=self.device)
        with torch.compiler.set_stance("default"):  # acting is not compiled otherwise (`uncompiled`)
            for h in range(horizon):
                state, reward, step_cost = self.foresee(prior, state, actions[h], noise[h])
                value = value + gamma**h * reward
                cost = cost + step_cost  # within the plan, as the budget is
        value = value + gamma**horizon * self.critic.value(state.features(prior.entries))
        objective = value
        if c.variant == "osrp_lag":
            objective = value - self.multiplier.multiplier * cost
        return constrained_score(objective.view(rows, count), cost.view(rows, count), self.plan_budget, c.plan_elites)

    def foresee(
        self, prior: SparsePrior, state: SparseLatent, action: Tensor, noise: Tensor
    ) -> tuple[SparseLatent, Tensor, Tensor]:
        """A step of all plans."""
        return prior.step(state, action, noise)

    def compile_losses(self) -> None:
        """Compile a step of planning as well, for as many plans as there are in an iteration."""
        super().compile_losses()
        self.foresee = torch.compile(self.foresee, dynamic=False)  # type: ignore[method-assign]

    # -------------------------------------------------------------- learning

    def dream_losses(self, dream: Dream) -> tuple[Metrics, Metrics]:
        """Losses of both critics and of the actor; the multiplier has moved afterwards."""
        returns, reward_loss = self.critic_loss(self.critic, dream, dream.reward)
        costs, cost_loss = self.critic_loss(self.cost_critic, dream, dream.cost)
        advantage, price = self.advantage(self.critic, self.scale, dream, returns), self.price(costs)
        if self.config.safe_dreamer.variant != "osrp":
            advantage = advantage - price * self.advantage(self.cost_critic, self.cost_scale, dream, costs)
        actor_loss, metrics = self.actor_loss(dream, advantage)
        metrics |= {
            "value/reward_return": returns.mean(),
            "value/cost_return": costs.mean(),
            "multiplier/lambda": self.multiplier.multiplier.clone(),
            "multiplier/price": price,
        }
        return {"value_reward": reward_loss, "value_cost": cost_loss, "actor": actor_loss}, metrics

    @torch.no_grad()
    def price(self, costs: Tensor) -> Tensor:
        """What a unit of cost return weighs against a unit of reward return, (); `costs` are imagined returns (H, N).

        For the augmented Lagrangian that is dPhi/dC at the excess over the budget. The actor's loss has it times the
        advantage of costs on their scale, as that of rewards is on its own: the score function's estimator of grad Phi,
        divided by the moving range of cost returns.
        """
        if isinstance(self.multiplier, PIDMultiplier):
            self.multiplier.update(costs[0].mean(), self.budget)
            return self.multiplier.multiplier.clone()
        excess = parallel.average(costs[0].mean()) - self.budget
        price = (self.multiplier.multiplier + self.multiplier.penalty / 2 * excess).clamp(min=0)
        self.multiplier.update(excess)
        return price.float()
