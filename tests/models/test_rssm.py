"""The recurrent state-space model: filtering, resets, imagination, and the shapes of encoder and decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fosp.config import WorldModelConfig
from fosp.models.layers import GRUCell, ImageDecoder, ImageEncoder, from_patches, mlp, to_patches
from fosp.models.rssm import RSSM, Latent
from fosp.models.world_model import WorldModel

CONFIG = WorldModelConfig(deterministic=12, latents=3, classes=5, units=10, vector_layers=1, head_layers=1)
B, T, E, A = 2, 7, 6, 2


@pytest.fixture
def rssm() -> RSSM:
    torch.manual_seed(0)
    return RSSM(CONFIG, E, A)


def inputs(seed: int, length: int = T) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embedding, action, is_first (at the start only) and noise of B sequences."""
    g = torch.Generator().manual_seed(seed)
    is_first = torch.zeros(B, length, dtype=torch.bool)
    is_first[:, 0] = True
    return (
        torch.randn(B, length, E, generator=g),
        torch.randn(B, length, A, generator=g),
        is_first,
        torch.rand(B, length, CONFIG.latents, generator=g),
    )


def test_two_sequences_joined_are_the_two_apart(rssm):
    first, second = inputs(1), inputs(2, 4)
    joined = rssm.observe(*(torch.cat(pair, 1) for pair in zip(first, second, strict=True)))
    for part, where in ((first, slice(0, T)), (second, slice(T, T + 4))):
        states, posterior, prior = rssm.observe(*part)
        torch.testing.assert_close(joined[0].h[:, where], states.h)
        torch.testing.assert_close(joined[0].z[:, where], states.z)
        torch.testing.assert_close(joined[1][:, where], posterior)
        torch.testing.assert_close(joined[2][:, where], prior)


def test_without_the_reset_the_second_sequence_remembers_the_first(rssm):
    first, second = inputs(1), inputs(2, 4)
    joined = [torch.cat(pair, 1) for pair in zip(first, second, strict=True)]
    joined[2][:, T:] = False
    states, _, _ = rssm.observe(*joined)
    assert (states.h[:, T:] - rssm.observe(*second)[0].h).abs().max() > 1e-3


def test_a_first_step_ignores_the_action_that_came_with_it(rssm):
    embedding, action, is_first, noise = inputs(1)
    other = action.clone()
    other[:, 0] += 5
    torch.testing.assert_close(
        rssm.observe(embedding, action, is_first, noise)[0].h, rssm.observe(embedding, other, is_first, noise)[0].h
    )


def test_observing_a_sequence_is_observing_its_steps(rssm):
    embedding, action, is_first, noise = inputs(3)
    is_first[1, 4] = True
    states, _, _ = rssm.observe(embedding, action, is_first, noise)
    state = rssm.initial(B, torch.device("cpu"))
    embedded = rssm.posterior_embedding(embedding)
    for t in range(T):
        state = rssm.observe_step(state, action[:, t], embedded[:, t], is_first[:, t], noise[:, t])
        torch.testing.assert_close(state.h, states.h[:, t])
        torch.testing.assert_close(state.z, states.z[:, t])


def test_no_class_is_less_likely_than_its_share_of_the_uniform(rssm):
    with torch.no_grad():  # as sure of itself as can be
        for layer in (rssm.prior[-1], rssm.posterior_output[-1]):
            layer.weight.mul_(1e4)
    _, *log_ps = rssm.observe(*inputs(3))
    for log_p in log_ps:
        assert log_p.shape == (B, T, CONFIG.latents, CONFIG.classes)
        np.testing.assert_allclose(log_p.detach().exp().sum(-1), 1, atol=1e-5)
        assert log_p.exp().min().item() == pytest.approx(CONFIG.unimix / CONFIG.classes, rel=1e-3)


def test_rows_do_not_see_each_other(rssm):
    parts = inputs(4)
    alone, _, _ = rssm.observe(*(x[:1] for x in parts))
    together, _, _ = rssm.observe(*parts)
    torch.testing.assert_close(alone.h, together.h[:1])


def test_the_posterior_sees_the_observation_and_the_prior_does_not(rssm):
    embedding, action, is_first, noise = inputs(5, 1)
    _, posterior, prior = rssm.observe(embedding, action, is_first, noise)
    _, other_posterior, other_prior = rssm.observe(embedding + 1, action, is_first, noise)
    torch.testing.assert_close(prior, other_prior)
    assert (posterior - other_posterior).abs().max() > 1e-3


def test_an_imagined_step_is_a_sample_of_the_prior_in_the_state_that_it_reaches(rssm):
    """The prior as filtering has it, which the KL is trained on: classes are drawn as often as it says."""
    embedding, action, is_first, noise = (x[:1] for x in inputs(5, 1))
    is_first[:] = False  # from zero as well, but with its action
    states, _, prior = rssm.observe(embedding, action, is_first, noise)
    draws = 40_000
    uniform = torch.rand(draws, CONFIG.latents, generator=torch.Generator().manual_seed(0))
    imagined = rssm.imagine_step(rssm.initial(draws, torch.device("cpu")), action[0].expand(draws, -1), uniform)
    torch.testing.assert_close(imagined.h[0], states.h[0, 0])
    p = prior[0, 0].exp()
    frequency = imagined.z.mean(0).view_as(p)
    assert ((frequency - p).abs() < 5 * (p * (1 - p) / draws).sqrt()).all()


def test_imagination_rolls_the_prior_under_the_policy():
    torch.manual_seed(0)
    model = WorldModel(CONFIG, {"vector": (4,)}, A)
    start = Latent(torch.randn(5, 12), torch.randn(5, 15))
    noise = torch.rand(6, *model.rssm.noise_shape(5))
    seen = []

    def policy(features: torch.Tensor, step: int) -> torch.Tensor:
        seen.append((features, step))
        return torch.full((5, A), 0.1 * step) + features[:, :A].tanh()

    features, actions = model.imagine(start, policy, noise)
    assert features.shape == (7, 5, 27)
    assert actions.shape == (6, 5, A)
    assert [step for _, step in seen] == list(range(6))
    torch.testing.assert_close(torch.stack([f for f, _ in seen]), features[:-1])
    state = start
    for h in range(6):
        torch.testing.assert_close(actions[h], torch.full((5, A), 0.1 * h) + state.features[:, :A].tanh())
        state = model.rssm.imagine_step(state, actions[h], noise[h])
        torch.testing.assert_close(features[h + 1], state.features)


def test_gru_cell_is_a_convex_mix_of_the_old_state_and_a_bounded_candidate():
    torch.manual_seed(0)
    cell = GRUCell(4, 6)
    h = torch.rand(100, 6) * 2 - 1
    new = cell(torch.randn(100, 4) * 10, h)
    assert new.abs().max() <= 1
    # The update gate starts near sigmoid(-1): the state is mostly kept.
    assert torch.corrcoef(torch.stack([h.flatten(), new.flatten().detach()]))[0, 1] > 0.5


def test_patches_are_squares_of_pixels_row_by_row():
    image = torch.arange(2 * 64 * 64 * 6).view(2, 64, 64, 6)
    for side in (1, 2, 4, 8):
        patches = to_patches(image, side)
        square = image[1, 40 : 40 + side, 24 : 24 + side]
        assert torch.equal(patches[1, 40 // side, 24 // side], square.flatten())
        assert torch.equal(from_patches(patches, side), image)


@pytest.mark.parametrize(("channels", "depth", "patch"), [(3, 4, 1), (6, 16, 1), (3, 4, 2), (6, 16, 4), (6, 4, 8)])
def test_image_encoder_and_decoder_shapes(channels, depth, patch):
    encoder, decoder = ImageEncoder(channels, depth, patch), ImageDecoder(20, channels, depth, patch)
    patches = to_patches(torch.rand(3, 64, 64, channels), patch)
    embedding = encoder(patches)
    assert encoder.outputs == depth * 8 * 16
    assert embedding.shape == (3, encoder.outputs)
    assert decoder(torch.randn(3, 20)).shape == patches.shape


@pytest.mark.parametrize("patch", [1, 4])
def test_image_encoder_tells_places_and_channels_apart(patch):
    torch.manual_seed(0)
    encoder = ImageEncoder(6, 4, patch)
    images = torch.zeros(3, 64, 64, 6)
    images[0, :32, :, 0] = images[1, 32:, :, 0] = images[2, :32, :, 3] = 1
    a, b, c = encoder(to_patches(images, patch))
    assert min((a - b).abs().max(), (a - c).abs().max(), (b - c).abs().max()) > 1e-2


def test_untrained_output_scale_zero_starts_at_the_bias():
    net = mlp(5, 8, 2, 3, output_scale=0)
    assert (net(torch.randn(4, 5)) == 0).all()
