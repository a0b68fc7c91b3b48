"""An ensemble of latent dynamics: where its members disagree, the model has seen too little (Yu et al., MOPO, 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fosp.config import WorldModelConfig
from fosp.models.distributions import mix_uniform
from fosp.models.layers import mlp


def log_likelihood(log_p: Tensor, z: Tensor) -> Tensor:
    """log p(z) of independent categoricals: log_p (..., S, K), one-hot z (..., S * K) -> (...)."""
    return (log_p.flatten(-2) * z).sum(-1)


def disagreement(log_likelihoods: Tensor) -> Tensor:
    """Standard deviation over members (the population's) of log p_i(z | h), (M, ...) -> (...)."""
    return log_likelihoods.std(0, correction=0)


class DynamicsEnsemble(nn.Module):
    """p_i(z | h) for i = 1..M: networks like the prior's that differ in their initial weights."""

    def __init__(self, config: WorldModelConfig, members: int) -> None:
        super().__init__()
        self.latents, self.classes, self.unimix = config.latents, config.classes, config.unimix
        self.members = nn.ModuleList(
            mlp(config.deterministic, config.units, 1, config.latents * config.classes) for _ in range(members)
        )

    def log_likelihoods(self, h: Tensor, z: Tensor) -> Tensor:
        """log p_i(z | h), (..., D), (..., S * K) -> (M, ...)."""
        logits = torch.stack([member(h) for member in self.members]).unflatten(-1, (self.latents, self.classes))
        return log_likelihood(mix_uniform(logits, self.unimix).log(), z)

    def loss(self, h: Tensor, z: Tensor) -> Tensor:
        """Negative log-likelihood of posterior samples, summed over members and averaged over rows, ()."""
        return -self.log_likelihoods(h, z).sum(0).mean()

    def disagreement(self, h: Tensor, z: Tensor) -> Tensor:
        """How little the members agree on how likely z is after h, (...)."""
        return disagreement(self.log_likelihoods(h, z))
