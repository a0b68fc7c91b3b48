"""Recurrent state-space model (Eq. 1; Hafner et al., PlaNet to DreamerV3) with categorical latents.

Letters: B batch, T time, N any rows, D deterministic size, S latents, K classes, A action size, E embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fosp.config import WorldModelConfig
from fosp.models.distributions import mix_uniform, sample_one_hot
from fosp.models.layers import GRUCell, Norm, dense, mlp


class Latent(NamedTuple):
    """Model state s = (h, z)."""

    h: Tensor
    """Deterministic part, (..., D)."""
    z: Tensor
    """One-hot stochastic part, flattened, (..., S * K)."""

    @property
    def features(self) -> Tensor:
        """What heads, critics and actors read, (..., D + S * K)."""
        return torch.cat([self.h, self.z], -1)

    def detach(self) -> Latent:
        """The same values without gradients."""
        return Latent(self.h.detach(), self.z.detach())

    def flatten(self) -> Latent:
        """(B, T, ...) -> (B * T, ...)."""
        return Latent(self.h.flatten(0, 1), self.z.flatten(0, 1))


def repeat(state: Latent, count: int) -> Latent:
    """Every row `count` times, (N, ...) -> (N * count, ...)."""
    return Latent(state.h.repeat_interleave(count, 0), state.z.repeat_interleave(count, 0))


class RSSM(nn.Module):
    """h_t = f(h_{t-1}, z_{t-1}, a_{t-1});  posterior q(z_t | h_t, x_t);  prior p(z_t | h_t)."""

    def __init__(self, config: WorldModelConfig, embedding: int, actions: int) -> None:
        super().__init__()
        self.latents, self.classes, self.unimix = config.latents, config.classes, config.unimix
        self.size = config.deterministic
        stochastic = config.latents * config.classes
        self.features = config.deterministic + stochastic
        self.input = dense(stochastic + actions, config.units)
        self.cell = GRUCell(config.units, config.deterministic)
        self.prior = mlp(config.deterministic, config.units, 1, stochastic)
        # The posterior's first layer is split in two, so that the embedding's share is computed for all steps at once.
        self.posterior_embedding = nn.Linear(embedding, config.units, bias=False)
        self.posterior_state = nn.Linear(config.deterministic, config.units, bias=False)
        self.posterior_norm = Norm(config.units)
        self.posterior_output = nn.Sequential(nn.SiLU(), nn.Linear(config.units, stochastic))

    def initial(self, rows: int, device: torch.device) -> Latent:
        """The state before a sequence, all zeros."""
        return Latent(
            torch.zeros(rows, self.size, device=device),
            torch.zeros(rows, self.latents * self.classes, device=device),
        )

    def split(self, features: Tensor) -> Latent:
        """The state that has these features, (..., F)."""
        return Latent(features[..., : self.size], features[..., self.size :])

    def noise_shape(self, *rows: int) -> tuple[int, ...]:
        """Shape of the uniform noise that one sample per row needs."""
        return (*rows, self.latents)

    def step(self, state: Latent, action: Tensor) -> Tensor:
        """Recurrent part of one step, (N, ...), (N, A) -> h (N, D)."""
        return self.cell(self.input(torch.cat([state.z, action], -1)), state.h)

    def posterior_logits(self, h: Tensor, embedded: Tensor) -> Tensor:
        """`embedded` is `posterior_embedding(embedding)`; returns unnormalised (N, S, K)."""
        x = self.posterior_norm(self.posterior_state(h) + embedded)
        return self._split(self.posterior_output(x))

    def log_p(self, logits: Tensor) -> Tensor:
        """Normalised log-probabilities with the uniform share mixed in, (..., S, K)."""
        if self.unimix == 0:
            return F.log_softmax(logits.float(), -1)
        return mix_uniform(logits, self.unimix).log()

    def filter_step(
        self, state: Latent, action: Tensor, embedded: Tensor, keep: Tensor, noise: Tensor
    ) -> tuple[Latent, Tensor]:
        """One filtering step, and the posterior's logits (N, S, K); `state` and `action` are reset where `keep` (N, 1)
        is 0 and stay where it is 1."""
        h = self.step(Latent(state.h * keep, state.z * keep), action * keep)
        logits = self.posterior_logits(h, embedded)
        return Latent(h, self._sample(logits, noise)), logits

    def observe_step(self, state: Latent, action: Tensor, embedded: Tensor, is_first: Tensor, noise: Tensor) -> Latent:
        """One filtering step; where `is_first` (N,), state and action are reset to zero beforehand."""
        keep = (~is_first).unsqueeze(-1).to(state.h.dtype)
        return self.filter_step(state, action, embedded, keep, noise)[0]

    def observe(
        self, embedding: Tensor, action: Tensor, is_first: Tensor, noise: Tensor
    ) -> tuple[Latent, Tensor, Tensor]:
        """Filter sequences.

        Args:
            embedding: (B, T, E). action: the action that led to each observation, (B, T, A).
            is_first: (B, T) bool. noise: uniform, (B, T, S).

        Returns:
            Posterior states (B, T, ...), and the log-probabilities of posterior and prior, (B, T, S, K).
        """
        embedded = self.posterior_embedding(embedding)  # (B, T, units)
        keep = (~is_first).unsqueeze(-1).to(action.dtype)
        state = self.initial(len(action), action.device)
        hs, zs, logits = [], [], []
        for t in range(action.shape[1]):
            state, step_logits = self.filter_step(state, action[:, t], embedded[:, t], keep[:, t], noise[:, t])
            hs.append(state.h)
            zs.append(state.z)
            logits.append(step_logits)
        states = Latent(torch.stack(hs, 1), torch.stack(zs, 1))
        posterior = self.log_p(torch.stack(logits, 1))
        prior = self.log_p(self._split(self.prior(states.h)))
        return states, posterior, prior

    def imagine_step(self, state: Latent, action: Tensor, noise: Tensor) -> Latent:
        """One step of the prior, (N, ...), (N, A), (N, S)."""
        h = self.step(state, action)
        return Latent(h, self._sample(self._split(self.prior(h)), noise))

    def _sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        return sample_one_hot(mix_uniform(logits, self.unimix), noise).flatten(-2)

    def _split(self, logits: Tensor) -> Tensor:
        return logits.unflatten(-1, (self.latents, self.classes))
