"""CPO: constrained policy optimisation (Achiam, Held, Tamar and Abbeel, 2017). Online, model-free.

The conjugate gradient is that of sb3-contrib (extra `baselines`), as in its trust-region policy optimisation.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from fosp.agents.on_policy import Experience, OnPolicyAgent
from fosp.errors import InputError
from fosp.models.trust_region import Step, constrained_step
from fosp.models.world_model import Metrics

try:
    from sb3_contrib.common.utils import conjugate_gradient_solver
except ImportError as error:
    raise InputError('Agent cpo stands on sb3-contrib: pip install "fosp[baselines]".') from error

CASES = ("unconstrained", "constrained", "recovery")


class CPO(OnPolicyAgent):
    """A step in the trust region that meets the cost limit, or one that only lowers the cost where none can."""

    def learn(self, data: Experience) -> Metrics:
        """One policy step on the whole round, then regressions of both values."""
        metrics = self.policy_step(data)
        losses = []
        for _ in range(self.config.on_policy.epochs):
            for rows in self.minibatches(data):
                reward, cost = self.value_loss(data, rows)
                (reward + cost).backward()
                for parameter in self.policy_parameters:
                    parameter.grad = None
                for optimiser in self.optimisers.values():
                    optimiser.step()
                losses.append(torch.stack([reward, cost]).detach())
        metrics["loss/value_reward"], metrics["loss/value_cost"] = torch.stack(losses).mean(0)
        return metrics

    def policy_step(self, data: Experience) -> Metrics:
        """The constrained step, shortened until the sampled objectives agree with its promises."""
        c = self.config.on_policy
        parameters = self.policy_parameters
        with torch.no_grad():
            old = self.distribution(data.observation)
            old = Normal(old.mean.clone(), old.stddev.clone())
        new = self.distribution(data.observation)
        divergence = kl_divergence(old, new).sum(-1).mean()
        slope = flatten(torch.autograd.grad(divergence, parameters, create_graph=True))
        reward, cost = self.objectives(data, new)
        gain = flatten(torch.autograd.grad(reward, parameters, retain_graph=True))
        price = flatten(torch.autograd.grad(cost, parameters, retain_graph=True))

        def curvature(v: Tensor, retain_graph: bool = True) -> Tensor:
            product = torch.autograd.grad(slope @ v, parameters, retain_graph=retain_graph)
            return flatten(product) + c.damping * v

        # The objectives are means over steps, so the excess of an episode is spread over its steps.
        excess = (data.episode_cost - c.cost_limit) / data.episode_steps
        solve = partial(conjugate_gradient_solver, curvature, max_iter=c.conjugate_steps)
        with torch.random.fork_rng():  # the solver starts from a random vector, drawn from PyTorch's own generator
            torch.manual_seed(int(torch.randint(2**31, (), generator=self.generator, device=self.device)))
            step = constrained_step(gain, price, excess, c.trust_region, solve)
        scale = self.line_search(data, old, step, float(reward.detach()), float(cost.detach()), excess)
        with torch.no_grad():
            after = self.distribution(data.observation)
            moved = kl_divergence(old, after).sum(-1).mean()
            improved, costs = self.objectives(data, after)
        return {
            "loss/actor": -improved,
            "actor/cost_surrogate": costs,
            "actor/divergence": moved,
            "actor/entropy": after.entropy().sum(-1).mean(),
            "actor/step_scale": torch.tensor(scale),
            **{f"actor/{case}": torch.tensor(float(step.case == case)) for case in CASES},
        }

    def objectives(self, data: Experience, pi: Normal) -> tuple[Tensor, Tensor]:
        """Surrogates of reward and cost under `pi`, each ()."""
        ratio = (pi.log_prob(data.drawn).sum(-1) - data.log_probability).exp()
        return (ratio * data.advantage_reward).mean(), (ratio * data.advantage_cost).mean()

    @torch.no_grad()
    def line_search(
        self, data: Experience, old: Normal, step: Step, reward: float, cost: float, excess: float
    ) -> float:
        """Apply the longest acceptable share of the step, and return it: 0.0 where none is."""
        c = self.config.on_policy
        parameters = self.policy_parameters
        before = [p.clone() for p in parameters]
        parts = step.direction.split([p.numel() for p in parameters])
        for attempt in range(c.line_search):
            scale = 0.8**attempt
            for p, origin, part in zip(parameters, before, parts, strict=True):
                p.copy_(origin + scale * part.view_as(p))
            new = self.distribution(data.observation)
            divergence = kl_divergence(old, new).sum(-1).mean()
            new_reward, new_cost = self.objectives(data, new)
            better = excess > 0 or float(new_reward) >= reward  # first the limit is to be met, whatever that takes
            affordable = float(new_cost) - cost <= max(-excess, 0.0)
            if float(divergence) <= c.trust_region and better and affordable:
                return scale
        for p, origin in zip(parameters, before, strict=True):
            p.copy_(origin)
        return 0.0


def flatten(tensors: tuple[Tensor, ...]) -> Tensor:
    """One vector of all numbers, (P,)."""
    return torch.cat([t.reshape(-1) for t in tensors])
