"""Acting by safe policy expansion (section 4.3 of FOSP): actors propose, values choose, and the world model tries out
what is proposed.

Letters: N rows, K candidates of each actor, F features, A action size, H steps, M futures. s are features of states.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fosp.agents.base import AgentState, Mode, Optimiser
from fosp.agents.imagination import ImaginingAgent
from fosp.models.actor import Actor, Average
from fosp.models.critics import Critic, lambda_return
from fosp.models.distributions import TruncatedNormal
from fosp.models.expansion import (
    discounted_bound,
    expansion_probabilities,
    expansion_score,
    priced_score,
    spread_points,
)
from fosp.models.lagrangian import Multiplier
from fosp.models.reachability import Reachability
from fosp.models.rssm import repeat
from fosp.models.weights import Scale
from fosp.models.world_model import Batch, WorldModel


class ExpandingAgent(ImaginingAgent):
    """An agent of two actors, the first of which is frozen and joined by the second when fine-tuning begins."""

    reward_bound: Tensor
    cost_bound: Tensor
    price: Tensor
    offers: Tensor | None
    futures: Tensor | None

    def build(self) -> None:
        super().build()
        c, features = self.config.behaviour, self.world_model.features
        size = (features, self.actions, c.units, c.layers)
        self.actor = Actor(*size)  # pi_psi
        self.new_actor = Actor(*size)  # pi_psi', idle until fine-tuning
        self.average = Average(self.actor, c.actor_average) if c.actor_average else None
        self.frozen_model: WorldModel | None = None  # what pi_psi sees by while the world model goes on learning
        self.reward_critic = Critic(*size, c.reward_expectile)
        self.cost_critic = Critic(*size, c.cost_expectile)
        self.reachability = Reachability(features, c.units, c.layers, c.reach_initial)
        self.multiplier = Multiplier(c.multiplier, c.penalty, c.penalty_growth, c.multiplier_limit)
        self.cost_unit = Scale("return")  # of what lambda_p weighs; 1 as long as it sees nothing
        self.register_buffer("reward_bound", torch.tensor(0.0))
        self.register_buffer("cost_bound", torch.tensor(0.0))
        self.register_buffer("price", torch.tensor(c.price), persistent=False)  # kept once it moves
        points = spread_points(c.candidates - 1, self.actions) if c.candidates > 1 else None
        self.register_buffer("offers", points, persistent=False)  # beside the mode
        shape = self.world_model.rssm.noise_shape(c.lookahead, 1, c.lookahead_samples)
        futures = torch.rand(shape, generator=torch.Generator().manual_seed(0)) if c.lookahead else None
        self.register_buffer("futures", futures, persistent=False)  # the same whenever the mode acts

    @property
    def expanded(self) -> bool:
        """Whether two actors compete."""
        return self.is_online and self.config.behaviour.expansion

    @property
    def learner(self) -> Actor:
        """The actor that is being trained: pi_psi offline, pi_psi' online."""
        return self.new_actor if self.expanded else self.actor

    @property
    def acting_learner(self) -> Actor | Average:
        """What acts of it: its running average, if there is one."""
        return self.learner if self.average is None else self.average

    @property
    def price_by_multiplier(self) -> Tensor:
        """What lambda_p makes one cost weigh, ()."""
        return self.multiplier.multiplier.float() / self.cost_unit.value

    def start_online(self) -> None:
        """Freeze pi_psi and bring in pi_psi' (section 4.3)."""
        if self.is_online:
            return
        super().start_online()
        c = self.config.behaviour
        if c.expansion_price == "own":
            self.register_buffer("price", self.price)
        if self.expanded:
            if self.average is not None:
                self.actor.load_state_dict(self.average.actor.state_dict())
            self.actor.requires_grad_(False)
            if c.expansion_model == "own":
                self.frozen_model = self.copy_of_world_model()
            if c.expansion_start == "copy":
                self.new_actor.load_state_dict(self.actor.state_dict())
            if self.average is not None:
                self.average.actor.load_state_dict(self.new_actor.state_dict())
            self.optimisers["actor"] = Optimiser([self.new_actor], c.actor_learning_rate, c.gradient_clip)

    def copy_of_world_model(self) -> WorldModel:
        """The world model as it is now, without gradients."""
        with torch.random.fork_rng(devices=[]):  # of the numbers that it is initialised with nothing remains
            model = WorldModel(self.config.world_model, self.spaces, self.actions)
        model.load_state_dict(self.world_model.state_dict())
        return model.to(self.device).requires_grad_(False)

    def see_bounds(self, reward: float, cost: float) -> None:
        """Q* and C* of Eq. 22 from the largest reward and cost per step in the data."""
        steps, gamma = self.config.env.steps, self.config.behaviour.gamma
        self.reward_bound.fill_(discounted_bound(torch.tensor(max(reward, 0.0)), gamma, steps).item())
        self.cost_bound.fill_(discounted_bound(torch.tensor(max(cost, 0.0)), gamma, steps).item())

    # ---------------------------------------------------------------- acting

    def initial_state(self, batch: int) -> AgentState:
        state = super().initial_state(batch)
        return state if self.frozen_model is None else state._replace(frozen=state.latent)

    def perceive(self, observation: Batch, state: AgentState, noise: Tensor) -> AgentState:
        after = super().perceive(observation, state, noise)
        if self.frozen_model is None:
            return after
        assert state.frozen is not None  # as `initial_state` gives it
        return after._replace(frozen=self.frozen_model.filter(observation, state.frozen, state.action, noise))

    def decide(self, state: AgentState, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        s = state.latent.features
        return self.choose(s, s if state.frozen is None else state.frozen.features, mode, generator)

    def policy(self, s: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """`choose` where both actors see the same."""
        return self.choose(s, s, mode, generator)

    def choose(
        self, s: Tensor, s_frozen: Tensor, mode: Mode, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What acts. Offline pi_psi in s. Online one candidate of each actor (or `candidates`, then offline as well),
        pi_psi's by what it sees, s_frozen (N, F), and a choice per row by Eq. 21, by values in s."""
        info = {
            "violation": self.reachability.probability(s),
            "value_reward": self.reward_critic.value(s),
            "value_cost": self.cost_critic.value(s),
        }
        learner = self.acting_learner
        actors = ((self.actor, s_frozen), (learner, s)) if self.expanded else ((learner, s),)
        offers = [self.candidates(actor(seen), mode, generator) for actor, seen in actors]  # each (N, K, A)
        actions = torch.cat(offers, 1)
        if actions.shape[1] == 1:
            return actions[:, 0], info
        seen = s.unsqueeze(1).expand(-1, actions.shape[1], -1)
        score = self.score(seen, actions, self.future_noise(len(s), mode, generator))  # (N, K) or (N, 2K)
        p = expansion_probabilities(score, self.config.behaviour.expansion_inverse_temperature)
        draw = self.noise(len(s), 1, generator=generator) >= p.cumsum(-1)[:, :-1]
        choice = score.argmax(-1) if mode == "mean" else draw.sum(-1)
        if self.expanded:
            k = actions.shape[1] // 2
            info |= {"choice": choice // k, "probability_new": p[:, k:].sum(-1)}
            info |= {"score_offline": score[:, :k].amax(-1), "score_new": score[:, k:].amax(-1)}
        return actions[torch.arange(len(s), device=s.device), choice], info

    def candidates(self, pi: TruncatedNormal, mode: Mode, generator: torch.Generator) -> Tensor:
        """K actions that an actor offers, (N, K, A): samples, or its mode and then the same quantiles every time, so
        that the policy of evaluation and export is a function of the state."""
        if mode == "mean":
            points = () if self.offers is None else self.offers
            return torch.stack([pi.mode, *(pi.sample(point) for point in points)], 1)
        noise = self.noise(self.config.behaviour.candidates, *pi.mode.shape, generator=generator)
        return pi.sample(noise).transpose(0, 1)

    def score(self, s: Tensor, action: Tensor, noise: Tensor | None = None) -> Tensor:
        """Q~ of Eq. 22, or with costs at a price (`expansion_price`), each action by its own values, (...); with the
        `noise` of `follow`, by what it is foreseen to lead to."""
        if noise is None:
            q_reward, q_cost = self.reward_critic.slow_q(s, action), self.cost_critic.slow_q(s, action)
        else:
            q_reward, q_cost = self.follow(s, action, noise)
        match self.config.behaviour.expansion_price:
            case "bounds":
                return expansion_score(q_reward, q_cost, self.reward_bound, self.cost_bound)
            case "multiplier":
                return priced_score(q_reward, q_cost, self.reward_bound, self.price_by_multiplier)
            case "own":
                return priced_score(q_reward, q_cost, self.reward_bound, self.price / self.cost_unit.value)

    def future_noise(self, rows: int, mode: Mode, generator: torch.Generator) -> Tensor | None:
        """The noise of `follow` for N rows, in mode mean the same every time; none without `lookahead`."""
        if self.futures is None:
            return None
        if mode == "mean":
            return self.futures.expand(-1, rows, -1, -1)
        steps, _, samples, _ = self.futures.shape
        return self.noise(*self.world_model.rssm.noise_shape(steps, rows, samples), generator=generator)

    @torch.no_grad()
    def follow(self, s: Tensor, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What actions bring of reward and of cost, each (N, K): TD(lambda) over steps that the world model foresees
        while the learner goes on from them, the mean of several futures (model-based value expansion; Feinberg et al.,
        2018).

        Args:
            s: (N, K, F). action: (N, K, A).
            noise: uniform, (H, N, M, S), for M futures of H steps: the same for all actions of a row, so that chance
                does not choose between them.
        """
        rows, count, _ = action.shape
        futures = noise.shape[2]
        start = repeat(self.world_model.rssm.split(s.flatten(0, 1)), futures)
        first = action.flatten(0, 1).repeat_interleave(futures, 0)  # (N * K * M, A)
        shared = noise.unsqueeze(2).expand(-1, -1, count, -1, -1).flatten(1, 3)
        actor = self.acting_learner
        features, actions = self.world_model.imagine(start, lambda s, h: actor(s).mode if h else first, shared)
        alive = torch.ones(len(first), device=s.device)
        dream = self.foretell(features, actions, alive, alive < 0)
        actions = torch.cat([actions, actor(features[-1]).mode.unsqueeze(0)])
        outcomes, lambda_ = [], self.config.behaviour.lookahead_lambda
        for critic, signal in ((self.reward_critic, dream.reward), (self.cost_critic, dream.cost)):
            q = critic.slow_q(features, actions)  # (H + 1, N * K * M)
            returns = lambda_return(signal, q, dream.discount, lambda_)[0]
            outcomes.append(torch.lerp(q[0], returns, lambda_).view(rows, count, futures).mean(-1))
        return outcomes[0], outcomes[1]
