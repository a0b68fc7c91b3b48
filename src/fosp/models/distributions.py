"""Distributions as pure functions of network outputs.

Random numbers come in as uniform noise, so that a function's result is determined by its arguments and a whole
update can be compiled or captured with fixed shapes. Letters: S latents, K classes, A action size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

TWO_HOT_BINS = 255
TWO_HOT_LIMIT = 20.0  # bins reach symexp(20), as in DreamerV3


def symlog(x: Tensor) -> Tensor:
    """Signed logarithm sign(x) ln(1 + |x|) (DreamerV3, Eq. 9)."""
    return torch.sign(x) * torch.log1p(x.abs())


def symexp(x: Tensor) -> Tensor:
    """Inverse of `symlog`."""
    return torch.sign(x) * torch.expm1(x.abs())


def piecewise_linear(x: Tensor, low: Tensor, width: Tensor, bins: int) -> Tensor:
    """Piecewise linear encoding of numbers (Gorishniy et al., 2022): how far x fills each of `bins` bins of equal width
    from `low` on, each in [0, 1], so that a network finds a threshold wherever it lies.

    Args:
        x: (..., D). low: where the first bin begins, (D,). width: of each bin, (D,).

    Returns:
        (..., D * bins), the bins of one entry side by side.
    """
    filled = ((x - low) / width).unsqueeze(-1) - torch.arange(bins, device=x.device)
    return filled.clamp(0, 1).flatten(-2)


def two_hot_bins() -> Tensor:
    """The `TWO_HOT_BINS` exponentially spaced bins, symmetric to the last bit, (255,)."""
    half = TWO_HOT_BINS // 2
    positive = symexp(torch.linspace(0, TWO_HOT_LIMIT, half + 1, dtype=torch.float64))[1:].float()
    return torch.cat([-positive.flip(0), torch.zeros(1), positive])


class TwoHot:
    """A scalar as a categorical over `two_hot_bins` (DreamerV3, section "Robust predictions").

    Args:
        logits: unnormalised, (..., 255).
        bins: `two_hot_bins()` on the same device.
    """

    def __init__(self, logits: Tensor, bins: Tensor) -> None:
        self.logits, self.bins = logits.float(), bins

    @property
    def mean(self) -> Tensor:
        """Expected value, (...).

        Each bin is paired with its mirror image before summing: any symmetric distribution decodes to exactly 0.
        """
        p = torch.softmax(self.logits, -1)
        half = TWO_HOT_BINS // 2
        return ((p[..., half + 1 :] - p[..., :half].flip(-1)) * self.bins[half + 1 :]).sum(-1)

    def loss(self, target: Tensor) -> Tensor:
        """Cross-entropy to the two-hot code of `target` (...), per row.

        The code's mean is `target` itself, so the minimiser over a set of targets has their (weighted) mean.
        """
        target = target.detach().float().clamp(-_LARGEST, _LARGEST)
        upper = torch.searchsorted(self.bins, target.contiguous()).clamp(1, TWO_HOT_BINS - 1)
        lower = upper - 1
        low, high = self.bins[lower], self.bins[upper]
        weight = (target - low) / (high - low)
        log_p = F.log_softmax(self.logits, -1)
        at_lower = log_p.gather(-1, lower.unsqueeze(-1)).squeeze(-1)
        at_upper = log_p.gather(-1, upper.unsqueeze(-1)).squeeze(-1)
        return -(1 - weight) * at_lower - weight * at_upper


_LARGEST = float(math.expm1(TWO_HOT_LIMIT))


def mix_uniform(logits: Tensor, share: float) -> Tensor:
    """Probabilities of softmax(logits) with `share` of the uniform distribution mixed in, (..., K) -> (..., K)."""
    return (1 - share) * torch.softmax(logits.float(), -1) + share / logits.shape[-1]


def sample_class(p: Tensor, noise: Tensor) -> Tensor:
    """Numbers of classes drawn from probabilities (..., S, K) by uniform noise (..., S), (..., S)."""
    return (p.cumsum(-1) <= noise.unsqueeze(-1)).sum(-1).clamp(max=p.shape[-1] - 1)


def sample_one_hot(p: Tensor, noise: Tensor) -> Tensor:
    """One-hot sample with straight-through gradients.

    Args:
        p: probabilities (..., S, K).
        noise: uniform numbers in [0, 1), (..., S): one per categorical, used on the cumulative distribution.
    """
    hard = torch.zeros_like(p).scatter_(-1, sample_class(p.detach(), noise).unsqueeze(-1), 1.0)
    return hard + p - p.detach() if p.requires_grad else hard


def categorical_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) summed over S independent categoricals, (..., S, K) -> (...)."""
    return (log_p.exp() * (log_p - log_q)).sum((-2, -1))


class TruncatedNormal:
    """Normal distribution cut to [-1, 1] in every dimension; the actors' action distribution.

    Its density is finite up to and at the bounds, so dataset actions of exactly +-1 have a proper log-probability,
    unlike a tanh-squashed normal's. Moments: Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 1, 13.10.

    Args:
        loc: location in [-1, 1], (..., A): the mode.
        scale: standard deviation before cutting, (..., A), positive.
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = loc.float(), scale.float()
        self.lower = (-1 - self.loc) / self.scale
        self.upper = (1 - self.loc) / self.scale
        self.cdf_lower = _normal_cdf(self.lower)
        self.mass = _normal_cdf(self.upper) - self.cdf_lower

    @property
    def mode(self) -> Tensor:
        """The most likely action, (..., A)."""
        return self.loc

    def sample(self, noise: Tensor) -> Tensor:
        """Reparameterised sample by the inverse distribution function; `noise` uniform in [0, 1), (..., A)."""
        u = (self.cdf_lower + noise * self.mass).clamp(1e-6, 1 - 1e-6)
        return (self.loc + self.scale * torch.special.ndtri(u)).clamp(-1, 1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-density summed over dimensions, (..., A) -> (...)."""
        z = (action - self.loc) / self.scale
        return (-0.5 * z.square() - _LOG_SQRT_2PI - self.scale.log() - self.mass.log()).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats summed over dimensions, (...)."""
        bend = (self.lower * _normal_pdf(self.lower) - self.upper * _normal_pdf(self.upper)) / (2 * self.mass)
        return (_LOG_SQRT_2PI + 0.5 + self.scale.log() + self.mass.log() + bend).sum(-1)


_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def _normal_cdf(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)


def _normal_pdf(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x.square() - _LOG_SQRT_2PI)
