"""Distributions against scipy, torch.distributions, closed forms and counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from fosp.models.distributions import (
    TWO_HOT_BINS,
    TruncatedNormal,
    TwoHot,
    categorical_kl,
    mix_uniform,
    sample_one_hot,
    symexp,
    symlog,
    two_hot_bins,
)

SHAPES = [(-1.0, 0.1), (-0.7, 0.3), (0.0, 0.1), (0.0, 1.0), (0.4, 0.7), (0.98, 0.15), (1.0, 1.0)]


def truncnorm(loc: float, scale: float):
    return stats.truncnorm((-1 - loc) / scale, (1 - loc) / scale, loc, scale)


def one(loc: float, scale: float) -> TruncatedNormal:
    return TruncatedNormal(torch.tensor([loc]), torch.tensor([scale]))


# ------------------------------------------------------------------- truncated normal


@pytest.mark.parametrize(("loc", "scale"), SHAPES)
def test_truncated_normal_log_prob_is_scipys_also_at_the_bounds(loc, scale):
    actions = torch.tensor([-1.0, -0.999, -0.5, 0.0, 0.3, 0.9999, 1.0])
    log_prob = one(loc, scale).log_prob(actions.unsqueeze(-1))
    assert torch.isfinite(log_prob).all()
    np.testing.assert_allclose(log_prob, truncnorm(loc, scale).logpdf(actions.double()), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(("loc", "scale"), SHAPES)
def test_truncated_normal_entropy_is_scipys(loc, scale):
    assert one(loc, scale).entropy().item() == pytest.approx(truncnorm(loc, scale).entropy(), abs=2e-4)


def test_truncated_normal_sums_over_action_dimensions():
    loc, scale = torch.tensor([[0.1, -0.6]]), torch.tensor([[0.4, 0.2]])
    action = torch.tensor([[0.5, -1.0]])
    both = TruncatedNormal(loc, scale)
    separate = [one(loc[0, i].item(), scale[0, i].item()) for i in range(2)]
    assert both.log_prob(action).item() == pytest.approx(
        sum(p.log_prob(action[0, i : i + 1]).item() for i, p in enumerate(separate)), rel=1e-5
    )
    assert both.entropy().item() == pytest.approx(sum(p.entropy().item() for p in separate), rel=1e-5)


@pytest.mark.parametrize(("loc", "scale"), SHAPES)
def test_truncated_normal_samples_follow_the_distribution(loc, scale):
    noise = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(3))
    samples = TruncatedNormal(torch.full_like(noise, loc), torch.full_like(noise, scale)).sample(noise)
    assert samples.abs().max() <= 1
    assert stats.kstest(samples[:, 0].numpy(), truncnorm(loc, scale).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("loc", "scale"), SHAPES)
def test_truncated_normal_mode_is_the_most_likely_action(loc, scale):
    grid = torch.linspace(-1, 1, 2001).unsqueeze(-1)
    pi = one(loc, scale)
    assert grid[pi.log_prob(grid).argmax()].item() == pytest.approx(pi.mode.item(), abs=1e-3)


def test_truncated_normal_sample_is_reparameterised():
    """Derivatives of a sample by location and scale equal those of scipy's quantile function."""
    step = 1e-5
    for loc, scale in SHAPES[1:6]:
        for u in (0.1, 0.5, 0.9):
            location, width = torch.tensor([loc], requires_grad=True), torch.tensor([scale], requires_grad=True)
            TruncatedNormal(location, width).sample(torch.tensor([u])).sum().backward()
            by_loc = (truncnorm(loc + step, scale).ppf(u) - truncnorm(loc - step, scale).ppf(u)) / (2 * step)
            by_scale = (truncnorm(loc, scale + step).ppf(u) - truncnorm(loc, scale - step).ppf(u)) / (2 * step)
            assert location.grad.item() == pytest.approx(by_loc, rel=2e-2, abs=2e-3)
            assert width.grad.item() == pytest.approx(by_scale, rel=2e-2, abs=2e-3)


def test_truncated_normal_gradients_are_finite_at_extremes():
    loc = torch.tensor([[-1.0, 1.0, 0.0]], requires_grad=True)
    scale = torch.tensor([[0.1, 0.1, 1.0]], requires_grad=True)
    pi = TruncatedNormal(loc, scale)
    noise = torch.tensor([[0.0, 0.99999994, 0.5]])
    (pi.log_prob(torch.tensor([[1.0, -1.0, 1.0]])) + pi.entropy() + pi.sample(noise).sum()).sum().backward()
    assert torch.isfinite(loc.grad).all()
    assert torch.isfinite(scale.grad).all()


# ---------------------------------------------------------------------------- two-hot


def code_of(target: float) -> np.ndarray:
    """The code that the loss compares with: its gradient by the logits is softmax(logits) - code."""
    logits = torch.zeros(TWO_HOT_BINS, requires_grad=True)
    TwoHot(logits, two_hot_bins()).loss(torch.tensor(target)).backward()
    return (torch.full((TWO_HOT_BINS,), 1 / TWO_HOT_BINS) - logits.grad).double().numpy()


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0, 0.017, 3.7, -12.5, 250.0, -8e4, 3e8])
def test_two_hot_code_lies_on_two_neighbours_and_has_the_target_as_mean(target):
    code = code_of(target)
    occupied = np.flatnonzero(code > 1e-5)
    assert 1 <= len(occupied) <= 2
    assert occupied[-1] - occupied[0] <= 1
    assert code.sum() == pytest.approx(1, abs=1e-5)
    bins = two_hot_bins().double().numpy()
    if len(occupied) == 2:
        assert bins[occupied[0]] <= target <= bins[occupied[1]]
    assert (code[occupied] * bins[occupied]).sum() == pytest.approx(target, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("target", [0.0, 0.3, -1.7, 42.0, -900.0])
def test_two_hot_round_trip(target):
    code = torch.from_numpy(code_of(target)).clamp(min=0).float()
    code[code < 1e-5] = 0
    assert TwoHot(code.log(), two_hot_bins()).mean.item() == pytest.approx(target, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("target", [1e12, -1e12])
def test_two_hot_beyond_the_bins_stays_finite(target):
    code = code_of(target)
    assert code[-1 if target > 0 else 0] == pytest.approx(1, abs=1e-4)


def test_two_hot_bins_are_symexp_spaced_and_symmetric_to_the_last_bit():
    bins = two_hot_bins()
    assert torch.equal(bins, -bins.flip(0))
    np.testing.assert_allclose(symlog(bins), np.linspace(-20, 20, TWO_HOT_BINS), atol=1e-5)


def test_two_hot_decodes_uniform_and_every_symmetric_distribution_to_exactly_zero():
    half = torch.randn(500, TWO_HOT_BINS // 2, generator=torch.Generator().manual_seed(0)) * 5
    middle = torch.randn(500, 1, generator=torch.Generator().manual_seed(1))
    for logits in (torch.zeros(TWO_HOT_BINS), torch.cat([half, middle, half.flip(-1)], -1)):
        assert (TwoHot(logits, two_hot_bins()).mean == 0).all()


def test_two_hot_loss_is_minimised_by_the_weighted_mean_of_the_targets():
    targets, weights = torch.tensor([-2.0, 0.5, 7.0, 30.0]), torch.tensor([1.0, 4.0, 2.0, 1.0])
    codes = torch.from_numpy(np.stack([code_of(t) for t in targets.tolist()])).clamp(min=1e-12).float()
    minimiser = ((weights.unsqueeze(-1) * codes).sum(0) / weights.sum()).log().requires_grad_(True)
    head = TwoHot(minimiser.expand(4, -1), two_hot_bins())
    (weights * head.loss(targets)).sum().backward()
    assert minimiser.grad.abs().max() < 1e-4
    expected = (targets * weights).sum() / weights.sum()
    # Rounding of 1e-7 in the codes, times bins of 1e8, must not be mistaken for probability.
    visible = torch.where(minimiser.exp() > 1e-6, minimiser.detach(), torch.tensor(-torch.inf))
    assert TwoHot(visible, two_hot_bins()).mean.item() == pytest.approx(expected.item(), rel=1e-3)


def test_two_hot_loss_sends_no_gradient_to_its_target():
    target = torch.tensor(1.5, requires_grad=True)
    logits = torch.zeros(TWO_HOT_BINS, requires_grad=True)
    TwoHot(logits, two_hot_bins()).loss(target).backward()
    assert target.grad is None


def test_symlog_and_symexp():
    x = torch.tensor([-1e6, -3.0, -0.1, 0.0, 0.2, 5.0, 1e5])
    np.testing.assert_allclose(symlog(x), np.sign(x.numpy()) * np.log(1 + np.abs(x.double().numpy())), rtol=1e-6)
    np.testing.assert_allclose(symexp(symlog(x)), x, rtol=1e-4)
    assert symexp(torch.tensor(1.0)).item() == pytest.approx(np.e - 1)


# ------------------------------------------------------------------------ categorical


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2


def test_mix_uniform_adds_its_share_to_every_class():
    logits = torch.tensor([[100.0, 0.0, -100.0, 0.0]])
    p = mix_uniform(logits, 0.01)
    np.testing.assert_allclose(p, [[0.9925, 0.0025, 0.0025, 0.0025]], atol=1e-6)
    other = random_logits(7, 5)
    np.testing.assert_allclose(mix_uniform(other, 0.2), 0.8 * torch.softmax(other, -1) + 0.04, atol=1e-6)
    np.testing.assert_allclose(mix_uniform(other, 0.0), torch.softmax(other, -1), atol=1e-6)


def test_categorical_kl_is_that_of_torch_distributions():
    p, q = (mix_uniform(random_logits(4, 3, 6, seed=seed), 0.01).log() for seed in (0, 1))
    build = torch.distributions.Categorical
    expected = torch.distributions.kl_divergence(build(logits=p), build(logits=q)).sum(-1)
    np.testing.assert_allclose(categorical_kl(p, q), expected, rtol=1e-4)
    np.testing.assert_allclose(categorical_kl(p, p), 0, atol=1e-6)


def test_one_hot_samples_follow_the_probabilities():
    p = mix_uniform(random_logits(2, 6), 0.05)
    noise = torch.rand(30_000, 2, generator=torch.Generator().manual_seed(5))
    samples = sample_one_hot(p.expand(30_000, 2, 6), noise)
    for s in range(2):
        counts, expected = samples[:, s].sum(0).round().numpy(), 30_000 * p[s].double().numpy()
        assert counts.sum() == 30_000
        assert stats.chisquare(counts, expected * 30_000 / expected.sum()).pvalue > 1e-3


def test_one_hot_samples_are_one_hot_at_the_edges_of_the_noise():
    p = mix_uniform(torch.tensor([[-50.0, 0.0, -50.0]]), 0.0).expand(2, 3)
    samples = sample_one_hot(p, torch.tensor([0.0, 0.99999994]))
    np.testing.assert_allclose(samples[1], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(samples.sum(-1), 1, atol=1e-6)


def test_one_hot_gradient_is_straight_through():
    logits, w = random_logits(3, 5), random_logits(3, 5, seed=2)
    noise = torch.tensor([0.2, 0.5, 0.9])
    through, plain = logits.clone().requires_grad_(True), logits.clone().requires_grad_(True)
    (sample_one_hot(mix_uniform(through, 0.01), noise) * w).sum().backward()
    (mix_uniform(plain, 0.01) * w).sum().backward()
    assert plain.grad.abs().max() > 0.1
    np.testing.assert_allclose(through.grad, plain.grad, atol=1e-6)
