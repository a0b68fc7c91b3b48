"""The world model's loss (Eq. 1): which term trains what, and that the whole learns a small dataset by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fosp.config import WorldModelConfig
from fosp.models.distributions import symlog
from fosp.models.rssm import Latent
from fosp.models.world_model import WorldModel, squared_norm
from tiny import line_image, random_batch

SPACES = {"vector": (2,)}


def model(**changes: float) -> WorldModel:
    torch.manual_seed(0)
    sizes = {"deterministic": 16, "latents": 4, "classes": 4, "units": 16, "vector_layers": 1, "head_layers": 1}
    weights = {"cost_weight": 10.0, "beta_dynamics": 0.5, "beta_representation": 0.1}
    plain = {"vector_bins": 0, "foresight": 0, "cost_scale": 1.0}
    return WorldModel(WorldModelConfig(**(sizes | weights | plain | changes)), SPACES, 1)


def loss_of(world_model: WorldModel, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    noise = torch.rand(
        *world_model.rssm.noise_shape(*batch["reward"].shape), generator=torch.Generator().manual_seed(0)
    )
    loss, _, metrics = world_model.loss(batch, noise)
    return loss, metrics


def gradients(world_model: WorldModel, batch: dict[str, torch.Tensor], part: str) -> list[torch.Tensor]:
    """Gradients of the loss by the parameters whose names start with `part`."""
    world_model.zero_grad(set_to_none=True)
    loss_of(world_model, batch)[0].backward()
    return [
        torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in world_model.named_parameters()
        if name.startswith(part)
    ]


def largest(tensors: list[torch.Tensor]) -> float:
    return max(t.abs().max().item() for t in tensors)


def test_squared_norm_and_its_gradient_are_those_of_the_sum_of_squares():
    x = torch.tensor([[1.0, -2.0], [3.0, 0.0]], requires_grad=True)
    value = squared_norm(x)
    value.backward()
    assert value.item() == 14
    assert x.grad.tolist() == [[2, -4], [6, 0]]


def test_free_bits_silence_a_small_kl_and_nothing_more():
    batch = random_batch()
    free, greedy = model(free_nats=50.0), model(free_nats=0.0)
    assert largest(gradients(free, batch, "rssm.prior")) == 0
    assert largest(gradients(greedy, batch, "rssm.prior")) > 1e-4
    _, metrics = loss_of(free, batch)
    assert metrics["world_model/kl"] < 50
    assert metrics["world_model/dynamics"].item() == pytest.approx(0.5 * 50)
    assert metrics["world_model/representation"].item() == pytest.approx(0.1 * 50)
    _, metrics = loss_of(greedy, batch)
    assert metrics["world_model/dynamics"].item() == pytest.approx(0.5 * metrics["world_model/kl"].item(), rel=1e-5)
    assert metrics["world_model/representation"].item() == pytest.approx(
        0.1 * metrics["world_model/kl"].item(), rel=1e-5
    )


def test_each_kl_term_trains_its_own_side():
    """With sequences of one step the prior's input is fixed, so the two sides can be told apart."""
    batch = random_batch(length=6)
    batch = {name: value[:, :1] for name, value in batch.items()}
    batch["is_first"][:] = True
    none, dynamics, representation = (
        model(free_nats=0.0, beta_dynamics=d, beta_representation=r) for d, r in ((0, 0), (1, 0), (0, 1))
    )
    posterior = "rssm.posterior_output"
    assert largest(gradients(dynamics, batch, "rssm.prior")) > 1e-4
    assert largest(gradients(representation, batch, "rssm.prior")) == 0
    base = gradients(none, batch, posterior)
    assert largest([a - b for a, b in zip(gradients(dynamics, batch, posterior), base, strict=True)]) < 1e-7
    assert largest([a - b for a, b in zip(gradients(representation, batch, posterior), base, strict=True)]) > 1e-4


def test_loss_is_the_sum_of_its_terms():
    loss, metrics = loss_of(model(), random_batch())
    terms = ("vector", "reward", "cost", "continue", "dynamics", "representation")
    assert loss.item() == pytest.approx(sum(metrics[f"world_model/{name}"].item() for name in terms), rel=1e-5)


def test_costly_steps_weigh_ten_times_in_the_cost_head():
    """An untrained head's cross-entropy to 0 and to 1 is the same: only the weights differ."""
    world_model, batch = model(), random_batch()
    batch["cost"] = torch.zeros_like(batch["cost"])
    plain = loss_of(world_model, batch)[1]["world_model/cost"].item()
    batch["cost"][0, 1:3] = 1.0
    batch["cost"][1, 0] = 0.5  # below 1: not weighed
    assert plain == pytest.approx(np.log(255), rel=1e-5)
    assert loss_of(world_model, batch)[1]["world_model/cost"].item() == pytest.approx(
        plain * (1 + 9 * 2 / 18), rel=1e-5
    )


def test_foresight_is_the_loss_of_what_the_prior_foresees_along_recorded_actions():
    """Step by step, from every second step on, and not beyond the end of an episode."""
    world_model, batch = model(foresight=2), random_batch(3, 7)
    with torch.no_grad():
        for parameter in world_model.parameters():
            parameter.add_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    batch["cost"][0, 2] = 2.0  # weighs ten times
    batch["is_first"][:, 1:] = False
    batch["is_first"][1, 3] = True  # the first step foreseen from step 2
    batch["is_first"][2, 2] = True  # the second one from step 0
    noise = torch.rand(*world_model.rssm.noise_shape(3, 7))
    ahead = torch.rand(*world_model.foresight_shape(3, 7))
    assert ahead.shape == (2, 3 * 3, 4)  # from steps 0, 2 and 4
    _, states, metrics = world_model.loss(batch, noise, ahead)
    rewards, costs = [], []
    for row in range(3):
        for start in (0, 2, 4):
            state = Latent(states.h[row : row + 1, start], states.z[row : row + 1, start])
            for step in range(2):
                now = start + 1 + step
                if batch["is_first"][row, now]:
                    break
                draw = ahead[step, 3 * row + start // 2].unsqueeze(0)
                state = world_model.rssm.imagine_step(state, batch["action"][row : row + 1, now], draw)
                rewards.append(world_model.reward_head(state.features).loss(batch["reward"][row, now : now + 1]))
                cost = batch["cost"][row, now : now + 1]
                weight = 10 if cost >= 1 else 1
                costs.append(weight * world_model.cost_head(state.features).loss(cost))
    assert len(costs) == 18 - 2 - 1
    torch.testing.assert_close(metrics["world_model/foresight_reward"], torch.cat(rewards).mean().detach())
    torch.testing.assert_close(metrics["world_model/foresight_cost"], torch.cat(costs).mean().detach())
    assert "world_model/foresight_cost" not in world_model.loss(batch, noise)[2]


def test_continuation_is_trained_on_terminations():
    world_model, batch = model(), random_batch()
    noise = torch.rand(*world_model.rssm.noise_shape(3, 6))
    features = world_model.loss(batch, noise)[1].features
    predicted = world_model.continuation(features)
    expected = F.binary_cross_entropy(predicted, 1 - batch["is_terminal"].float())
    assert world_model.loss(batch, noise)[2]["world_model/continue"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("head", ["reward_head", "cost_head", "continue_head", "vector_decoder"])
def test_every_heads_gradient_flows_into_the_model(head):
    torch.manual_seed(0)
    world_model, batch = model(beta_dynamics=0.0, beta_representation=0.0), random_batch()
    with torch.no_grad():  # heads that start at zero pass no gradient on
        for name in ("reward_head", "cost_head"):
            for parameter in getattr(world_model, name).parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        others = [n for n in ("reward_head", "cost_head", "continue_head", "vector_decoder") if n != head]
        for name in others:
            for parameter in getattr(world_model, name).parameters():
                parameter.zero_()
    assert largest(gradients(world_model, batch, "rssm.posterior_output")) > 1e-6
    assert largest(gradients(world_model, batch, "vector_encoder")) > 1e-6


def test_vectors_are_seen_and_predicted_in_symlog_units():
    world_model, batch = model(), random_batch()
    seen = []
    world_model.vector_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch["vector"] = batch["vector"] * 100
    _, metrics = loss_of(world_model, batch)
    torch.testing.assert_close(seen[0], symlog(batch["vector"]))
    with torch.no_grad():
        for parameter in world_model.vector_decoder.parameters():
            parameter.zero_()
    _, metrics = loss_of(world_model, batch)
    expected = symlog(batch["vector"]).square().sum(-1).mean().item()
    assert metrics["world_model/vector"].item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(world_model.decode(torch.randn(3, 32))["vector"], torch.zeros(3, 2))


def test_vectors_are_standardised_after_symlog_when_the_setting_says_so():
    """Entry 0 has mean and spread of its own; entry 1 never changes and must not be blown up."""
    g = torch.Generator().manual_seed(0)
    data = torch.stack([5 + 2 * torch.randn(4000, generator=g), torch.full((4000,), 0.5)], 1)
    world_model = model(vector_standardise=True)
    world_model.see_vectors(data)
    normal = world_model.normalise(data)
    np.testing.assert_allclose(normal[:, 0].mean(), 0, atol=1e-3)
    np.testing.assert_allclose(normal[:, 0].std(), 1, atol=1e-3)
    np.testing.assert_allclose(normal[:, 1], 0, atol=1e-4)
    assert world_model.normalise(torch.tensor([5.0, 0.6]))[1].abs() < 20
    with torch.no_grad():
        for parameter in world_model.vector_decoder.parameters():
            parameter.zero_()
    middle = world_model.decode(torch.zeros(1, 32))["vector"]  # the decoder's zero is the data's mean in symlog
    expected = torch.expm1(torch.log1p(data[:, 0].abs()).mean())
    assert middle[0].tolist() == pytest.approx([expected.item(), 0.5], rel=2e-2)
    plain = model(vector_standardise=False)
    plain.see_vectors(data)
    torch.testing.assert_close(plain.normalise(data), symlog(data))


def test_the_encoder_sees_each_entry_and_how_far_it_fills_the_bins_of_its_range():
    """Entry 0 reaches from 0 to ln 4 in symlog, entry 1 from -ln 2 to ln 2; four bins each."""
    world_model = model(vector_standardise=False, vector_bins=4)
    world_model.see_vectors(torch.tensor([[0.0, -1.0], [3.0, 1.0], [1.0, 0.0]]))
    seen = []
    world_model.vector_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    vector = torch.tensor([[1.0, 0.0], [3.0, 9.0], [-1.0, -1.0]])  # ln 2 is half of ln 4; 9 and -1 lie beyond
    world_model.encode({"vector": symlog(vector)})
    torch.testing.assert_close(seen[0][:, :2], symlog(vector))
    expected = [[1, 1, 0, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
    torch.testing.assert_close(seen[0][:, 2:], torch.tensor(expected).float())
    quarter = torch.tensor([[np.expm1(np.log(4) * 0.3), 0.0]])  # 1.2 of four bins
    world_model.encode({"vector": symlog(quarter).float()})
    torch.testing.assert_close(seen[1][0, 2:6], torch.tensor([1, 0.2, 0, 0]), atol=1e-5, rtol=0)


def test_cost_scale_multiplies_what_costs_teach_and_nothing_else():
    batch = random_batch()
    plain, scaled = model(foresight=2), model(foresight=2, cost_scale=10.0)
    noise = torch.rand(*plain.rssm.noise_shape(*batch["reward"].shape), generator=torch.Generator().manual_seed(0))
    ahead = torch.rand(plain.foresight_shape(*batch["reward"].shape), generator=torch.Generator().manual_seed(1))
    results = [m.loss(batch, noise, ahead) for m in (plain, scaled)]
    (loss, _, metrics), (scaled_loss, _, scaled_metrics) = results
    assert metrics == scaled_metrics  # what is logged stays comparable
    cost = metrics["world_model/cost"] + metrics["world_model/foresight_cost"]
    torch.testing.assert_close((scaled_loss - loss).detach(), 9 * cost)
    loss.backward()
    scaled_loss.backward()
    for (name, p), (_, q) in zip(plain.named_parameters(), scaled.named_parameters(), strict=True):
        factor = {"cost_head": 10, "reward_head": 1, "vector_decoder": 1}.get(name.split(".")[0])
        if factor:
            torch.testing.assert_close(q.grad, factor * p.grad, rtol=1e-4, atol=1e-7)


def moving_column(rows: int = 2, length: int = 8) -> dict[str, torch.Tensor]:
    """Sequences of the line's pictures; reward and cost depend on where the column stands."""
    rng = np.random.default_rng(0)
    action = rng.uniform(-1, 1, (rows, length, 1)).astype(np.float32)
    x = np.clip(np.cumsum(0.5 * action[..., 0], 1), -1, 1)
    is_first = torch.zeros(rows, length, dtype=torch.bool)
    is_first[:, 0] = True
    return {
        "image": torch.from_numpy(np.stack([[line_image(v)[..., :3] for v in row] for row in x])),
        "action": torch.from_numpy(action),
        "reward": torch.from_numpy(3 * x).float(),
        "cost": torch.from_numpy((x > 0.2).astype(np.float32)),
        "is_first": is_first,
        "is_terminal": torch.zeros(rows, length, dtype=torch.bool),
    }


def test_world_model_learns_one_small_dataset_by_heart():
    """After 170 updates: picture error under 0.02 (the mean picture has 0.05), predicted reward and cost within 0.3 and
    0.1 in the mean (constants: 1.1 and 0.4), and pictures predicted from actions alone under 0.03."""
    torch.manual_seed(0)
    batch, steps = moving_column(), 170
    config = WorldModelConfig(
        deterministic=32, latents=8, classes=8, units=64, cnn_depth=16, head_layers=1, free_nats=8.0
    )
    world_model = WorldModel(config, {"image": (64, 64, 3)}, 1)
    adam = torch.optim.Adam(world_model.parameters(), lr=4e-3)
    g = torch.Generator().manual_seed(0)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 4e-3 * min(1, 2 * (1 - step / steps))
        adam.zero_grad()
        loss, states, metrics = world_model.loss(batch, torch.rand(*world_model.rssm.noise_shape(2, 8), generator=g))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(world_model.parameters(), 1000.0)
        adam.step()
    image, features = batch["image"].float() / 255, states.features.detach()
    assert (image - image.mean((0, 1))).square().mean() > 0.05
    assert metrics["world_model/image"] / image[0, 0].numel() < 0.02
    assert (batch["reward"] - batch["reward"].mean()).abs().mean() > 1.1
    assert (world_model.reward(features) - batch["reward"]).abs().mean() < 0.3
    assert (batch["cost"] - batch["cost"].mean()).abs().mean() > 0.4
    assert (world_model.cost(features) - batch["cost"]).abs().mean() < 0.1
    prediction = world_model.open_loop(batch, 3, torch.rand(*world_model.rssm.noise_shape(2, 8), generator=g))["image"]
    assert prediction.shape == batch["image"].shape
    assert (prediction.float() / 255 - image).square().mean() < 0.03
