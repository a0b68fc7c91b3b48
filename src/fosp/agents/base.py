"""What every agent is; what those with a world model share: it filters observations, a policy acts on its states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fosp import parallel
from fosp.config import Config
from fosp.models.rssm import Latent
from fosp.models.world_model import Batch, Metrics, WorldModel

Mode = Literal["sample", "mean"]


class AgentState(NamedTuple):
    """What an agent remembers between steps, one row per environment."""

    latent: Latent
    action: Tensor
    """The last action, (N, A)."""
    frozen: Latent | None = None
    """The same past as another world model sees it, for an agent that acts on two."""


class Transitions(NamedTuple):
    """Real steps of a batch, (B, T - 1, ...): action a_t in s_t led to reward, cost and s_{t+1}."""

    features: Tensor
    action: Tensor
    reward: Tensor
    cost: Tensor
    next_features: Tensor
    next_terminal: Tensor
    violation: Tensor
    """Whether arriving in s_t had a cost."""
    valid: Tensor
    """1.0 where s_{t+1} belongs to the same episode as s_t, else 0.0."""

    def mean(self, x: Tensor) -> Tensor:
        """Mean of (B, T - 1) over valid steps, (); those of all processes count alike."""
        return (x * self.valid).sum() / parallel.average(self.valid.sum()).clamp(min=1)


def transitions(features: Tensor, batch: Batch) -> Transitions:
    """Pair the rows of a batch in model alignment (action, reward and cost of row t + 1 belong to the step from t)."""
    return Transitions(
        features=features[:, :-1],
        action=batch["action"][:, 1:],
        reward=batch["reward"][:, 1:],
        cost=batch["cost"][:, 1:],
        next_features=features[:, 1:],
        next_terminal=batch["is_terminal"][:, 1:],
        violation=batch["cost"][:, :-1] > 0,
        valid=(~batch["is_first"][:, 1:]).float(),
    )


class Optimiser:
    """Adam over some modules with a bound on the gradient's norm."""

    def __init__(self, modules: Iterable[nn.Module], learning_rate: float, clip: float) -> None:
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        device = self.parameters[0].device
        on_gpu = device.type == "cuda"
        # A captured update reads the step size at every launch where it is a tensor.
        rate = torch.tensor(learning_rate, device=device) if on_gpu else learning_rate
        self.adam = torch.optim.Adam(self.parameters, lr=rate, eps=1e-8, fused=True, capturable=on_gpu)
        self.learning_rate, self.clip = learning_rate, clip

    def scale(self, share: float) -> None:
        """Take steps of so large a share of the learning rate from now on."""
        for group in self.adam.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(share * self.learning_rate)
            else:
                group["lr"] = share * self.learning_rate

    def step(self) -> Tensor:
        """Apply the gradients at hand and clear them; returns their norm before clipping, ()."""
        parallel.average_gradients(self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether matrix products run in bfloat16 at a setting of `training.precision`."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    abilities = torch.cpu.get_capabilities()
    return any(abilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # the last one is Arm's


class Agent(nn.Module, ABC):
    """Base of all agents: something that observes and acts.

    Args:
        config: settings of the run.
        spaces: shape of each observation.
        actions: size of the action A.
        device: where parameters live.
    """

    def __init__(
        self, config: Config, spaces: Mapping[str, tuple[int, ...]], actions: int, device: torch.device
    ) -> None:
        super().__init__()
        self.config, self.spaces, self.actions, self.device = config, dict(spaces), actions, device
        self.low_precision = in_bfloat16(config.training.precision, device)
        # The initialisation draws from PyTorch's own generator: lend it our seed and give its state back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.build()
        self.to(device)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.optimisers = self.make_optimisers()
        if config.training.compile:
            self.compile_losses()

    @abstractmethod
    def build(self) -> None:
        """Make the networks."""

    @abstractmethod
    def make_optimisers(self) -> dict[str, Optimiser]:
        """One optimiser per group of networks, by name."""

    @abstractmethod
    def initial_state(self, batch: int) -> AgentState | None:
        """State before the first observation of `batch` environments; None for an agent that remembers nothing."""

    @abstractmethod
    def act(
        self, observation: Batch, state: Any, mode: Mode, generator: torch.Generator
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Take in one observation per environment and choose actions.

        Args:
            observation: "image" (N, 64, 64, C) uint8 and/or "vector" (N, D) float, "is_first" (N,) bool, on any device.
            state: as returned by the previous call or `initial_state`.
            mode: "sample" draws actions, "mean" takes each policy's mode.
            generator: source of randomness, on the agent's device.

        Returns:
            Actions (N, A) in [-1, 1], the new state, and information such as "violation" (N,).
        """

    def start_online(self) -> None:
        """Called once, when offline training ends and fine-tuning begins."""

    def compile_losses(self) -> None:
        """Replace the expensive pure functions by compiled ones."""

    def noise(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform numbers in [0, 1) from the agent's generator or the one given."""
        return torch.rand(shape, generator=generator or self.generator, device=self.device)

    def arithmetic(self) -> torch.autocast:
        """Context in which matrix products run in the precision of the settings."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision)


class ModelBasedAgent(Agent):
    """An agent whose policy works on the states of a world model, and that learns from a replay."""

    model_fixed = False
    """Whether `update` leaves the world model as it is."""

    @property
    def plans(self) -> bool:
        """Whether it plans while it acts."""
        return False

    @property
    def exportable(self) -> bool:
        """Whether its mean action is a function of the state that a graph can hold."""
        return not self.plans

    def build(self) -> None:
        """Make the world model; subclasses go on with their own networks. Its optimiser is called "world_model"."""
        self.world_model = WorldModel(self.config.world_model, self.spaces, self.actions)

    @abstractmethod
    def update(self, batch: Batch) -> Metrics:
        """One gradient update on sequences (B, T, ...) from the replay; metrics are scalars left on the device."""

    def update_model(self, batch: Batch) -> Metrics:
        """As `update`, of the world model alone."""
        return self.train_world_model(batch)[2]

    @abstractmethod
    def policy(self, features: Tensor, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Actions (N, A) for states (N, F), and what is known about them, each (N,)."""

    def change_settings(self, before: Config) -> None:
        """Called when fine-tuning begins, with the settings that the agent was trained with.

        A checkpoint also holds what began as a setting; where that one has been changed since, the new value counts.
        """

    def see_bounds(self, reward: float, cost: float) -> None:
        """Told the largest reward and cost per step in the data, whenever they may have changed."""

    def see_costs(self, costs: Sequence[float]) -> None:
        """Told the cost of every episode that it has just played online."""

    def compile_losses(self) -> None:
        """Compile the world model's parts."""
        self.world_model.compile_parts()

    def uncompiled(self) -> AbstractContextManager[object]:
        """Context in which nothing is compiled: what was for the shapes of training would be again for all others."""
        return torch.compiler.set_stance("force_eager") if self.config.training.compile else nullcontext()

    def initial_state(self, batch: int) -> AgentState:
        return AgentState(
            self.world_model.rssm.initial(batch, self.device), torch.zeros(batch, self.actions, device=self.device)
        )

    @torch.no_grad()
    def act(
        self, observation: Batch, state: AgentState, mode: Mode, generator: torch.Generator
    ) -> tuple[Tensor, AgentState, dict[str, Tensor]]:
        observation = {name: value.to(self.device) for name, value in observation.items()}
        noise = self.noise(*self.world_model.rssm.noise_shape(len(observation["is_first"])), generator=generator)
        with self.uncompiled():
            state = self.perceive(observation, state, noise)
            action, info = self.decide(state, mode, generator)
        return action, state._replace(action=action), info

    def perceive(self, observation: Batch, state: AgentState, noise: Tensor) -> AgentState:
        """The state that `state` and its action led to, as `act` takes it in; noise: uniform, `rssm.noise_shape(N)`."""
        return state._replace(latent=self.world_model.filter(observation, state.latent, state.action, noise))

    def decide(self, state: AgentState, mode: Mode, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """`policy` on a state of the agent."""
        return self.policy(state.latent.features, mode, generator)

    def train_world_model(self, batch: Batch) -> tuple[Tensor, Latent, Metrics]:
        """One update of the world model; returns features (B, T, F) and states of the batch, without gradients.

        A fixed model is not updated and has no metrics.
        """
        noise = self.noise(*self.world_model.rssm.noise_shape(*batch["action"].shape[:2]))
        if self.model_fixed:
            with torch.no_grad(), self.arithmetic():
                states = self.world_model.observe(batch, noise)
            return states.features, states, {}
        foresight = None
        if self.config.world_model.foresight:
            foresight = self.noise(*self.world_model.foresight_shape(*batch["action"].shape[:2]))
        with self.arithmetic():
            loss, states, metrics = self.world_model.loss(batch, noise, foresight)
        loss.backward()
        metrics["gradient/world_model"] = self.optimisers["world_model"].step()
        metrics["loss/world_model"] = loss.detach()
        states = states.detach()
        return states.features, states, metrics
