"""PPO-Lagrangian and CPO: their losses by hand, the budget that binds, the trust region, and exact resuming."""

from __future__ import annotations

import sys

import pytest
import torch

pytest.importorskip("sb3_contrib", reason="needs the extra 'baselines'")

from fosp.agents import make_agent
from fosp.agents.on_policy import Experience
from fosp.agents.ppo_lagrangian import clipped_surrogate, priced_advantage
from fosp.config import change, load_config, save_config
from fosp.errors import InputError
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import train
from fosp.training.trained import load_trained
from resuming import InterruptAfter, assert_same_run, lines, settings
from tiny import CPU, play, write_dataset

SMALL = {
    "on_policy__episodes": 2,
    "on_policy__epochs": 2,
    "on_policy__minibatch": 16,
    "training__online_frames": 160,
    "training__evaluate_at": (80,),
}
NAMES = ("ppo_lagrangian", "cpo")


def test_surrogate_is_clipped_where_that_lowers_it():
    ratio, advantage = torch.tensor([1.5, 1.5, 0.5, 0.5]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert clipped_surrogate(ratio, advantage, 0.2).tolist() == pytest.approx([1.2, -1.5, 0.5, -0.8])


def test_price_of_the_cost():
    reward, cost = torch.tensor([3.0]), torch.tensor([1.0])
    assert priced_advantage(reward, cost, torch.tensor(0.0)).item() == 3
    assert priced_advantage(reward, cost, torch.tensor(1.0)).item() == 1  # (3 - 1) / 2


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_clamped_and_reproducible(name):
    agent = make_agent(settings(agent=name, **SMALL), {"vector": (2,)}, 1, CPU)
    observation = {"vector": torch.randn(64, 2, generator=torch.Generator().manual_seed(0))}
    action, state, info = agent.act(observation, None, "sample", torch.Generator().manual_seed(1))
    again, _, _ = agent.act(observation, None, "sample", torch.Generator().manual_seed(1))
    mean, _, _ = agent.act(observation, None, "mean", torch.Generator().manual_seed(2))
    assert state is None
    assert torch.equal(action, again)
    assert torch.equal(action, info["drawn"].clamp(-1, 1))
    assert info["drawn"].abs().max() > 1  # else nothing was clamped
    pi = agent.distribution(agent.inputs(observation))
    torch.testing.assert_close(info["log_probability"], pi.log_prob(info["drawn"]).sum(-1))
    assert torch.equal(mean, pi.mean.clamp(-1, 1))


@pytest.mark.parametrize("image", [False, True], ids=["vector", "image"])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_policy_learn_without_touching_each_other(name, image):
    spaces = {"image": (64, 64, 6)} if image else {"vector": (2,)}
    agent = make_agent(settings(agent=name, **SMALL), spaces, 1, CPU)
    policy = {id(p) for p in agent.policy_parameters}
    values = [p for p in agent.parameters() if id(p) not in policy]
    observation = {
        key: torch.zeros(3, *shape, dtype=torch.uint8 if image else torch.float32) for key, shape in spaces.items()
    }
    inputs = agent.inputs(observation)
    (agent.reward_value(inputs).sum() + agent.cost_value(inputs).sum()).backward()
    assert all(p.grad is None or not p.grad.any() for p in agent.policy_parameters)
    assert all(p.grad is not None for p in values)
    agent.zero_grad(set_to_none=True)
    agent.distribution(inputs).log_prob(torch.zeros(3, 1)).sum().backward()
    assert all(p.grad is not None for p in agent.policy_parameters)
    assert all(p.grad is None for p in values)


@pytest.mark.parametrize("image", [False, True], ids=["vector", "image"])
@pytest.mark.parametrize("name", NAMES)
def test_interrupted_training_resumes_exactly(name, image, tmp_path):
    seen = {"env__id": "tiny:TinyLineImage-v0", "env__observation": "image"} if image else {}
    config = settings(agent=name, **SMALL, **seen)
    train(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(config, tmp_path / "run", progress=InterruptAfter(95))
    train(config, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    assert load_trained(tmp_path / "run").frames == 160
    assert [e["frames"] for e in lines(tmp_path / "run", "evaluations.jsonl")] == [80, 160]


@pytest.mark.parametrize("name", NAMES)
def test_no_learning_from_data(name, tmp_path):
    data = write_dataset(tmp_path / "line", [play(0, 0.5)])
    with pytest.raises(InputError, match="use fosp train"):
        pretrain(settings(agent=name), [data], tmp_path / "run")


def learn(tmp_path, name, **changes):
    """What was logged of training on the line, where the hazard tempts: up to 20 reward with about 12 cost."""
    config = settings(
        agent=name,
        behaviour__gamma=0.95,
        on_policy__episodes=10,
        on_policy__learning_rate=3e-3,
        training__evaluate_at=(),
        **changes,
    )
    train(config, tmp_path / name)
    return lines(tmp_path / name)


def mean(entries, name):
    values = [entry[name] for entry in entries if name in entry]
    return sum(values) / len(values)


@pytest.mark.slow
def test_the_multiplier_rises_and_settles_at_the_budget(tmp_path):
    # The entropy keeps it trying: a policy that has settled in safety never meets the limit.
    changes = {"on_policy__cost_limit": 3.0, "on_policy__entropy": 0.1, "training__online_frames": 30_000}
    logged = learn(tmp_path, "ppo_lagrangian", **changes)
    assert max(entry.get("train/cost", 0) for entry in logged) > 6
    assert max(entry.get("multiplier/lambda", 0) for entry in logged) > 0.1
    assert mean(logged[-40:], "train/cost") == pytest.approx(3.0, abs=1.5)
    assert mean(logged[-40:], "train/return") > 12


@pytest.mark.slow
def test_cpo_keeps_to_its_trust_region_and_recovers_from_an_infeasible_start(tmp_path):
    # Some frames with no limit to speak of drive it into the hazard; then the limit counts.
    learn(tmp_path, "cpo", on_policy__cost_limit=100.0, training__online_frames=12_000)
    path = tmp_path / "cpo" / "config.yaml"
    free = lines(tmp_path / "cpo")
    assert mean(free[-5:], "train/cost") > 6
    assert mean(free, "actor/recovery") == 0
    save_config(change(load_config(path), {"on_policy.cost_limit": 2.0, "training.online_frames": 40_000}), path)
    train(load_config(path), tmp_path / "cpo", resume=True)
    logged = lines(tmp_path / "cpo")[len(free) :]
    assert mean(logged[:10], "actor/recovery") > 0.5
    assert all(entry.get("actor/divergence", 0) <= 0.0101 for entry in free + logged)
    assert mean(logged[-20:], "train/cost") < 3.5
    assert mean(logged[-20:], "train/return") > 12


@pytest.mark.parametrize(("excess", "share"), [(0.02, 0.8), (0.05, 0.95), (-0.02, 0.8)])
def test_above_its_limit_cpo_gives_reward_up_for_less_cost_and_below_it_never(excess, share):
    """What earns costs as well, so that the way back to the limit leads through less reward."""
    agent = make_agent(settings(agent="cpo", on_policy__cost_limit=0.0), {"vector": (2,)}, 1, CPU)
    g = torch.Generator().manual_seed(0)
    observation = {"vector": torch.randn(400, 2, generator=g)}
    with torch.no_grad():
        pi = agent.distribution(observation)
    drawn = pi.mean + pi.stddev * torch.randn(400, 1, generator=g)
    gain = drawn.squeeze(1) - drawn.mean()
    cost = share * gain + (1 - share) * torch.randn(400, generator=g)
    data = Experience(
        observation, drawn, pi.log_prob(drawn).sum(-1), gain / gain.std(), cost - cost.mean(), gain, cost,
        episode_cost=20 * excess, episode_steps=20,
    )  # fmt: skip
    reward, price = (float(x.mean()) for x in (data.advantage_reward, data.advantage_cost))
    metrics = agent.policy_step(data)
    assert metrics["actor/step_scale"] > 0
    assert metrics["actor/divergence"] <= agent.config.on_policy.trust_region
    if excess > 0:
        assert -metrics["loss/actor"] < reward
        assert metrics["actor/cost_surrogate"] < price
    else:
        assert -metrics["loss/actor"] > reward
        assert metrics["actor/cost_surrogate"] <= price - excess


@pytest.mark.parametrize("name", NAMES)
def test_without_the_extra_it_says_what_to_install(name, monkeypatch):
    for module in list(sys.modules):
        if module.split(".")[0] in ("stable_baselines3", "sb3_contrib") or module in (
            "fosp.agents.on_policy", "fosp.agents.cpo", "fosp.agents.ppo_lagrangian",
        ):  # fmt: skip
            monkeypatch.delitem(sys.modules, module)
    for module in ("stable_baselines3", "sb3_contrib"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pip install \"fosp\[baselines\]\""):
        make_agent(settings(agent=name), {"vector": (2,)}, 1, CPU)
