"""Rollouts of very many rows on a processor: z as the numbers of its classes, not as ones and zeros.

A layer that reads z is then a sum of S rows of its weights in place of a product with S * K numbers, most of them 0.
Letters: N rows, D size of h, S latents of K classes, A action size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fosp.models.distributions import TwoHot, mix_uniform, sample_class
from fosp.models.rssm import Latent
from fosp.models.world_model import WorldModel


class SparseLatent(NamedTuple):
    """Model state s = (h, z)."""

    h: Tensor
    """Deterministic part, (N, D)."""
    z: Tensor
    """Which of the S * K entries of the one-hot part are 1, (N, S)."""

    def features(self, entries: int) -> Tensor:
        """What heads, critics and actors read, (N, D + S * K), of S * K `entries`."""
        ones = torch.zeros(len(self.z), entries, dtype=self.h.dtype, device=self.h.device)
        return torch.cat([self.h, ones.scatter_(1, self.z, 1)], -1)


class SparsePrior:
    """The prior of a world model and its heads of reward and cost, with their weights as they are now.

    Args:
        model: the world model.
        dtype: what its weights are rounded to; that of the actions in `step`.
    """

    def __init__(self, model: WorldModel, dtype: torch.dtype) -> None:
        self.rssm = rssm = model.rssm
        self.entries = entries = rssm.latents * rssm.classes
        self.starts = torch.arange(0, entries, rssm.classes, device=model.reward_head.bins.device)
        self.bins = model.reward_head.bins
        linear, self.after_input = _opened(rssm.input)
        self.input_z, self.input_action = (
            _rows(linear.weight[:, :entries], dtype),
            linear.weight[:, entries:].detach().to(dtype),
        )
        heads = [_opened(head.net) for head in (model.reward_head, model.cost_head)]
        weight = torch.cat([linear.weight for linear, _ in heads]).detach()  # both heads read the same
        biases = [linear.bias.detach() for linear, _ in heads if linear.bias is not None]
        self.heads_bias = torch.cat(biases).to(dtype) if biases else None  # heads without hidden layers have one
        self.heads_h, self.heads_z = weight[:, : rssm.size].to(dtype), _rows(weight[:, rssm.size :], dtype)
        self.after_heads = [rest for _, rest in heads]

    def start(self, state: Latent, count: int) -> SparseLatent:
        """Every state (N, ...) `count` times, (N * count, ...)."""
        z = state.z.unflatten(-1, (len(self.starts), -1)).argmax(-1) + self.starts
        return SparseLatent(state.h.repeat_interleave(count, 0), z.repeat_interleave(count, 0))

    def step(self, state: SparseLatent, action: Tensor, noise: Tensor) -> tuple[SparseLatent, Tensor, Tensor]:
        """The state that an action (N, A) leads to, its reward and its cost, each (N,); uniform noise (N, S)."""
        x = F.embedding_bag(state.z, self.input_z, mode="sum") + F.linear(action, self.input_action)
        h = self.rssm.cell(self.after_input(x), state.h)
        seen = h.to(action.dtype)  # rounded once, not by every product
        p = mix_uniform(self.rssm.prior(seen).unflatten(-1, (len(self.starts), -1)), self.rssm.unimix)
        z = sample_class(p, noise) + self.starts
        x = F.embedding_bag(z, self.heads_z, mode="sum") + F.linear(seen, self.heads_h, self.heads_bias)
        reward, cost = (
            TwoHot(rest(part), self.bins).mean for rest, part in zip(self.after_heads, x.chunk(2, -1), strict=True)
        )
        return SparseLatent(h, z), reward, cost


def _opened(net: nn.Sequential) -> tuple[nn.Linear, nn.Sequential]:
    """The first linear layer of a stack of dense blocks, and what follows it."""
    first, *rest = [m for block in net for m in (block if isinstance(block, nn.Sequential) else [block])]
    assert isinstance(first, nn.Linear)
    return first, nn.Sequential(*rest)


def _rows(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Columns of weights (U, I) as rows that lie side by side in memory, (I, U)."""
    return weight.detach().t().to(dtype).contiguous()
