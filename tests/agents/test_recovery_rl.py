"""Recovery RL: its targets by hand, its risk against the exact one, and who acts when."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_chain import COST, PROBABILITY, STATES, TERMINAL, after, real_steps
from test_learning import SETTINGS, mixed_behaviours

from fosp.agents.base import Transitions, transitions
from fosp.config import change
from fosp.data import Replay
from fosp.errors import InputError
from fosp.models.distributions import TruncatedNormal
from fosp.models.risk import Temperature, TwinQ, risk_target, soft_target
from fosp.training.diagnosis import diagnose
from fosp.training.evaluation import evaluate
from tiny import awaken, play, random_batch, tiny_agent, tiny_config

RECOVERY = {"agent": "recovery_rl"}


def test_targets_worked_by_hand():
    violated, following = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.5, 0.5, 0.0])
    assert risk_target(violated, following, 0.8).tolist() == pytest.approx([0.4, 1.0, 0.0])
    target = soft_target(torch.tensor([1.0, 1.0]), torch.tensor([False, True]), torch.tensor([10.0, 10.0]), 0.9)
    assert target.tolist() == [10.0, 1.0]


def test_the_lower_of_two_values_counts():
    q = TwinQ(3, 1, 8, 1)
    for head, value in zip(q.heads, (2.0, -1.0), strict=True):
        head.forward = lambda x, v=value: type("Constant", (), {"mean": torch.full(x.shape[:-1], v)})
    assert q.lower(torch.zeros(4, 3), torch.zeros(4, 1)).tolist() == [-1.0] * 4


@pytest.mark.parametrize(("entropy", "direction"), [(0.2, 1), (-0.9, -1)])
def test_the_temperature_moves_against_the_excess_of_entropy(entropy, direction):
    temperature = Temperature(0.1, target_entropy=-0.5)
    adam = torch.optim.SGD(temperature.parameters(), lr=0.1)
    temperature.loss(torch.tensor(entropy)).backward()
    adam.step()
    assert torch.sign(temperature.alpha - 0.1).item() == -direction


def test_risk_equals_the_exact_discounted_probability_on_a_chain():
    """Behaviour and task policy alike step right with probability 0.6; every state's two actions, within 0.03."""
    agent = tiny_agent(RECOVERY | {"recovery_rl.risk_gamma": 0.8, "behaviour.units": 32})
    data = real_steps(agent.world_model.features)
    adam = torch.optim.Adam(agent.risk.head.parameters(), lr=1e-2)
    states = data.next_features
    terminal, violated = 1 - data.next_terminal.float(), (data.cost > 0).float()
    for step in range(600):
        adam.param_groups[0]["lr"] = 1e-2 * (1 - step / 600)
        adam.zero_grad()
        with torch.no_grad():
            sides = [agent.risk.slow(states, torch.full((*states.shape[:-1], 1), a)) for a in (-1.0, 1.0)]
            mixed = sum(p * side for p, side in zip(PROBABILITY, sides, strict=True)) * terminal
            target = risk_target(violated, mixed, 0.8)
        data.mean(agent.risk.loss(data.features, data.action, target)).backward()
        adam.step()
        agent.risk.update_slow(0.2)
    exact = np.zeros((STATES, 2))
    for _ in range(300):
        for s in range(TERMINAL):
            for i, a in enumerate((-1, 1)):
                there = after(s, a)
                exact[s, i] = 1.0 if COST[there] else 0.8 * PROBABILITY @ exact[there]
    eye = torch.eye(agent.world_model.features)[:TERMINAL]
    for i, a in enumerate((-1.0, 1.0)):
        ours = agent.risk(eye, torch.full((TERMINAL, 1), a)).detach().numpy()
        np.testing.assert_allclose(ours, exact[:TERMINAL, i], atol=0.03)


def test_each_loss_trains_its_own_networks_only():
    agent, batch = tiny_agent(RECOVERY), random_batch()
    awaken(agent)
    noise = agent.noise(*agent.world_model.rssm.noise_shape(3, 6))
    features = agent.world_model.loss(batch, noise)[1].features.detach()
    loss, _ = agent.behaviour_loss(transitions(features, batch), agent.noise(2, 3, 6, 1))
    loss.backward()
    touched = {key.split(".")[0] for key, p in agent.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == {"actor", "q", "risk", "temperature"}
    assert all(p.grad is None for p in (*agent.q.slow_heads.parameters(), *agent.risk.slow_head.parameters()))


def test_recovery_acts_in_risky_rows_only_and_lowers_the_risk():
    """Risk is made to be sigmoid(10 a) whatever the state: below one half for actions below 0."""
    agent = tiny_agent(RECOVERY | {"recovery_rl.threshold": 0.5, "recovery_rl.plan_iterations": 4})
    agent.risk.forward = lambda s, a: torch.sigmoid(10 * a.squeeze(-1))
    task = torch.tensor([[-0.5], [0.7], [-0.1], [0.2]])
    agent.actor.forward = lambda s: type("Pi", (), {"mode": task})
    s = torch.randn(4, agent.world_model.features)
    action, info = agent.policy(s, "mean", torch.Generator().manual_seed(0))
    assert info["recovering"].tolist() == [0, 1, 0, 1]
    assert action[[0, 2]].equal(task[[0, 2]])
    assert (action[[1, 3]] < -0.3).all()
    torch.testing.assert_close(info["violation"], torch.sigmoid(10 * task.squeeze(-1)))


def test_risk_tells_who_will_violate_and_recovery_keeps_out_of_the_hazard():
    """On the line of test_learning.py, with a task policy that takes the reward in the hazard: what soft actor-critic
    makes of 500 updates differs between processors, and the test is of those who stop it."""
    replay: Replay = mixed_behaviours()
    agent = tiny_agent(SETTINGS | RECOVERY | {"recovery_rl.threshold": 0.3})
    sampler = np.random.default_rng(0)
    for _ in range(500):
        agent.update(replay.sample(8, 8, sampler))
    unseen = [play(1000 + i, 0.9 if i % 2 else None) for i in range(20)]
    found = {f.name: f for f in diagnose(agent, unseen, ahead=3)}
    assert found["violation within 3 steps, none yet"].auc > 0.8
    reckless = tiny_agent(SETTINGS | RECOVERY | {"recovery_rl.threshold": 1.0})
    reckless.load_state_dict(agent.state_dict())
    for each in (agent, reckless):
        each.actor.forward = lambda s: TruncatedNormal(torch.full((len(s), 1), 0.9), torch.full((len(s), 1), 0.1))
    env = tiny_config().env
    guarded = evaluate(agent, env, 20)
    recovering = np.concatenate([r.info["recovering"] for r in guarded.rollouts])
    x = np.concatenate([r.episode.observations["vector"][:-1, 0] for r in guarded.rollouts])
    assert recovering[x > 0].mean() > 0.7  # four steps from the hazard or less
    assert recovering[x < -0.5].mean() < 0.2  # six or more
    assert guarded.cost < evaluate(reckless, env, 20).cost - 5


def test_soft_actor_critic_finds_the_policy_and_values_of_two_quadratic_steps():
    """In A and then in B a step pays -k (a - m)^2, with m of each. At temperature alpha the best policy is a normal
    around m of variance alpha / 2k, whose entropy fixes alpha; V(B) is alpha H less k times that variance."""
    k, gamma, (in_a, in_b) = 2.0, 0.9, (-0.3, 0.4)
    agent = tiny_agent(RECOVERY | {"behaviour.units": 64, "behaviour.gamma": gamma, "recovery_rl.temperature": 0.3})
    rows = 96
    states = torch.eye(agent.world_model.features)[[0, 1]].repeat(rows, 1, 1)  # (B, 2, F): in A, in B
    best = torch.tensor([in_a, in_b])
    nothing = torch.zeros(rows, 2)
    for step in range(1500):
        action = agent.noise(rows, 2, 1) * 2 - 1
        data = Transitions(
            features=states,
            action=action,
            reward=-k * (action.squeeze(-1) - best).square(),
            cost=nothing,
            next_features=states[:, [1, 1]],
            next_terminal=torch.tensor([False, True]).expand(rows, 2),
            violation=nothing.bool(),
            valid=torch.ones(rows, 2),
        )
        agent.behaviour_loss(data, agent.noise(2, rows, 3, 1))[0].backward()
        for name, optimiser in agent.optimisers.items():
            if name != "world_model":
                optimiser.adam.param_groups[0]["lr"] = 8e-3 * (1 - step / 1500)
                optimiser.step()
        agent.q.update_slow(0.1)
    entropy = math.log(2) - agent.config.recovery_rl.entropy_below_uniform
    variance = math.exp(2 * entropy - 1) / (2 * math.pi)  # of the normal that has it
    alpha = 2 * k * variance
    pi = agent.actor(states[0])
    assert pi.mode.squeeze(-1).tolist() == pytest.approx([in_a, in_b], abs=0.03)
    assert pi.entropy().tolist() == pytest.approx([entropy] * 2, abs=0.08)
    assert agent.temperature.alpha.item() == pytest.approx(alpha, rel=0.15)
    value = agent.q.lower(states[0], best.unsqueeze(-1))
    assert value.tolist() == pytest.approx([gamma * (alpha * entropy - k * variance), 0.0], abs=0.025)


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="plan_elites is 101"):
        change(tiny_config(), {"recovery_rl.plan_elites": 101})
    with pytest.raises(InputError, match=r"threshold is 1\.5"):
        change(tiny_config(), {"recovery_rl.threshold": 1.5})
