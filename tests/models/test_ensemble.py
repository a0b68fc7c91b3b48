"""The ensemble of latent dynamics, against numbers worked by hand and a distribution that it must learn."""

from __future__ import annotations

import math

import pytest
import torch

from fosp.config import WorldModelConfig
from fosp.models.ensemble import DynamicsEnsemble, disagreement, log_likelihood

CONFIG = WorldModelConfig(deterministic=3, latents=2, classes=2, units=16, unimix=0.0)


def test_log_likelihood_adds_up_the_categoricals():
    log_p = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]]).log()
    z = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    assert log_likelihood(log_p, z).item() == pytest.approx(math.log(0.1) + math.log(0.8))


def test_disagreement_is_the_populations_standard_deviation():
    assert disagreement(torch.tensor([[1.0, 2.0], [3.0, 2.0]])).tolist() == [1.0, 0.0]
    assert disagreement(torch.tensor([[0.0], [3.0], [6.0]])).item() == pytest.approx(math.sqrt(6))


def test_members_differ_at_first_and_agree_where_there_are_data():
    torch.manual_seed(0)
    ensemble = DynamicsEnsemble(CONFIG, 4)
    adam = torch.optim.Adam(ensemble.parameters(), lr=1e-2)
    h = torch.tensor([[1.0, 0.0, 0.0]]).repeat(64, 1)
    z = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]).repeat(32, 1)  # the second is a toss of a coin
    before = ensemble.disagreement(h, z).mean()
    for _ in range(200):
        adam.zero_grad()
        ensemble.loss(h, z).backward()
        adam.step()
    seen = ensemble.disagreement(h, z).mean()
    unseen = ensemble.disagreement(torch.tensor([[-1.0, 3.0, -2.0]]), torch.tensor([[0.0, 1.0, 0.0, 1.0]])).item()
    assert ensemble.log_likelihoods(h, z).mean().item() == pytest.approx(math.log(0.5), abs=0.02)
    assert seen < 0.1 * before
    assert unseen > 10 * seen


def test_every_member_learns_by_itself():
    ensemble = DynamicsEnsemble(CONFIG, 2)
    h, z = torch.randn(5, 3), torch.tensor([[1.0, 0.0, 0.0, 1.0]]).repeat(5, 1)
    both = ensemble.loss(h, z)
    single = [-ensemble.log_likelihoods(h, z)[i].mean() for i in range(2)]
    assert both.item() == pytest.approx(sum(x.item() for x in single), rel=1e-6)
