"""A chain whose exact solution is known, learned by the agent's own losses on tabular features.

Five states in a row; action -1 steps left, +1 right; state 4 is terminal. Each state's features are one-hot. The exact
values come from value iteration in numpy. Tolerances are stated beside each comparison.

    state      0     1     2     3     4 (terminal)
    reward on arriving:  0.0  0.2  -0.3  0.5  1.0
    cost on arriving:    0    0    1     0    1
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from fosp.agents.base import Transitions
from fosp.agents.fosp import FOSP, Dream
from tiny import tiny_agent

STATES, TERMINAL, GAMMA, REACH_GAMMA = 5, 4, 0.7, 0.8
REWARD = np.array([0.0, 0.2, -0.3, 0.5, 1.0])
COST = np.array([0.0, 0.0, 1.0, 0.0, 1.0])
RIGHT = 0.6  # the behaviour's probability of stepping right
ACTIONS = (-1.0, 1.0)
PROBABILITY = np.array([1 - RIGHT, RIGHT])
HORIZON = 3


def after(state: int, action: float) -> int:
    return int(np.clip(state + action, 0, TERMINAL))


def expectile(values: np.ndarray, kappa: float) -> float:
    """Expectile of two values under the behaviour's probabilities, by bisection."""
    low, high = values.min(), values.max()
    for _ in range(60):
        m = (low + high) / 2
        balance = PROBABILITY @ (np.where(values >= m, kappa, 1 - kappa) * (values - m))
        low, high = (m, high) if balance > 0 else (low, m)
    return low


def exact_values(signal: np.ndarray, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    """V (4,) and Q (4, 2) of the in-sample Bellman equation, by value iteration."""
    value = np.zeros(STATES)
    for _ in range(300):
        q = np.array([[signal[after(s, a)] + GAMMA * value[after(s, a)] for a in ACTIONS] for s in range(TERMINAL)])
        value[:TERMINAL] = [expectile(row, kappa) for row in q]
    return value[:TERMINAL], q


def exact_reach() -> np.ndarray:
    """p (4,): 1 where the state violates, else gamma_u times the mean over actions."""
    p = np.zeros(STATES)
    for _ in range(300):
        for s in range(TERMINAL):
            ahead = REACH_GAMMA * sum(w * p[after(s, a)] for w, a in zip(PROBABILITY, ACTIONS, strict=True))
            p[s] = max(float(COST[s] > 0), ahead)
        p[TERMINAL] = float(COST[TERMINAL] > 0)
    return p[:TERMINAL]


def one_hot(states: np.ndarray, size: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(states), size).float()


def real_steps(size: int) -> Transitions:
    """Every (state, action) in the behaviour's proportions, and wild rows that are marked invalid. (B, 1, ...)"""
    rows = [(s, a) for s in range(TERMINAL) for a, n in zip(ACTIONS, (4, 6), strict=True) for _ in range(n)]
    states = np.array([s for s, _ in rows])
    following = np.array([after(s, a) for s, a in rows])
    wild = 5
    valid = torch.cat([torch.ones(len(rows)), torch.zeros(wild)])

    def column(x: np.ndarray, filler: float) -> torch.Tensor:
        return torch.cat([torch.from_numpy(x).float(), torch.full((wild,), filler)]).unsqueeze(1)

    padded, padded_following = (np.concatenate([x, np.arange(wild) % TERMINAL]) for x in (states, following))
    return Transitions(
        features=one_hot(padded, size).unsqueeze(1),
        action=column(np.array([a for _, a in rows]), 1.0).unsqueeze(-1),
        reward=column(REWARD[following], 1000.0),
        cost=column(COST[following], 1000.0),
        next_features=one_hot(padded_following, size).unsqueeze(1),
        next_terminal=column((following == TERMINAL).astype(float), 0.0).bool(),
        violation=column((COST[states] > 0).astype(float), 1.0).bool(),
        valid=valid.unsqueeze(1),
    )


def dreams(size: int) -> Dream:
    """Every action sequence of length H from every state, repeated in the behaviour's proportions."""
    paths, weights = [], []
    for start in range(STATES):
        for actions in itertools.product((0, 1), repeat=HORIZON):
            path = [start]
            for a in actions:
                path.append(after(path[-1], ACTIONS[a]) if path[-1] != TERMINAL else TERMINAL)
            paths.append((path, [ACTIONS[a] for a in actions]))
            weights.append(float(np.prod(PROBABILITY[list(actions)])))
    states = np.array([p for p, _ in paths]).T  # (H + 1, N)
    continuation = torch.from_numpy((states[1:] != TERMINAL).astype(np.float32))
    start = torch.from_numpy((states[0] != TERMINAL) * np.array(weights) * len(weights)).float()
    discount = GAMMA * continuation
    return Dream(
        features=one_hot(states, size),
        action=torch.tensor(np.array([a for _, a in paths]).T, dtype=torch.float32).unsqueeze(-1),
        reward=torch.from_numpy(REWARD[states[1:]]).float(),
        cost=torch.from_numpy(COST[states[1:]]).float(),
        discount=discount,
        weight=torch.cat([start.unsqueeze(0), discount[:-1]]).cumprod(0),
        violation=torch.from_numpy(COST[states[:-1]] > 0),
        continuation=continuation,
    )


def chain_agent(**behaviour: float) -> FOSP:
    settings = {"gamma": GAMMA, "reach_gamma": REACH_GAMMA, "units": 32} | behaviour
    return tiny_agent({f"behaviour.{name}": value for name, value in settings.items()})


def train(agent: FOSP, modules: list[torch.nn.Module], loss_of, steps: int) -> None:
    """Adam with a falling step size, then the slow copies catch up; repeated as in an update of the agent."""
    adam = torch.optim.Adam([p for m in modules for p in m.parameters() if p.requires_grad], lr=1e-2)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        adam.zero_grad()
        loss_of().backward()
        adam.step()
        for slow in (agent.reward_critic, agent.cost_critic, agent.reachability):
            slow.update_slow(0.2)


@pytest.mark.parametrize(
    ("reward_expectile", "cost_expectile", "lambda_"),
    [
        (0.5, 0.5, 0.95),  # values of the behaviour itself: TD(lambda) along its own dreams has the same solution
        (0.8, 0.2, 0.0),  # the in-sample optimum: with lambda = 0 real and imagined targets agree
    ],
)
def test_values_of_reward_and_cost_equal_value_iteration(reward_expectile, cost_expectile, lambda_):
    """All of V_r, Q_r, V_c, Q_c within 0.05 of the exact solution (they span 0.5 to 1.5)."""
    agent = chain_agent(reward_expectile=reward_expectile, cost_expectile=cost_expectile, lambda_=lambda_)
    size = agent.world_model.features
    data, dream = real_steps(size), dreams(size)
    signals = [
        (agent.reward_critic, REWARD, reward_expectile, data.reward, dream.reward),
        (agent.cost_critic, COST, cost_expectile, data.cost, dream.cost),
    ]
    unused = torch.zeros(len(data.reward), 2, 1)  # noise for the ablation without in-sample optimisation

    def loss() -> torch.Tensor:
        parts = [agent.critic_loss(critic, data, dream, real, dreamt, unused) for critic, _, _, real, dreamt in signals]
        return sum(value + q for value, q, _ in parts)

    train(agent, [agent.reward_critic, agent.cost_critic], loss, 700)
    states = one_hot(np.arange(TERMINAL), size)
    for critic, signal, kappa, _, _ in signals:
        value, q = exact_values(signal, kappa)
        assert np.ptp(q) > 0.4  # the problem is not trivial
        np.testing.assert_allclose(critic.value(states).detach(), value, atol=0.05)
        for i, a in enumerate(ACTIONS):
            np.testing.assert_allclose(critic.slow_q(states, torch.full((TERMINAL, 1), a)), q[:, i], atol=0.05)


def test_imagination_tells_what_an_action_is_worth_that_the_data_do_not_hold():
    """Of data that always step right V is the value of stepping right, and Q of stepping left is known from dreams
    alone (Eq. 9). With lambda = 0 both are exact: within 0.05."""
    agent = chain_agent(reward_expectile=0.8, lambda_=0.0)
    size = agent.world_model.features
    data, dream = real_steps(size), dreams(size)
    data = data._replace(valid=data.valid * (data.action.squeeze(-1) > 0))
    critic, unused = agent.reward_critic, torch.zeros(len(data.reward), 2, 1)

    def loss() -> torch.Tensor:
        value, q, _ = agent.critic_loss(critic, data, dream, data.reward, dream.reward, unused)
        return value + q

    train(agent, [critic], loss, 700)
    value = np.zeros(STATES)
    for s in reversed(range(TERMINAL)):
        value[s] = REWARD[s + 1] + GAMMA * value[s + 1]
    left = [REWARD[after(s, -1)] + GAMMA * value[after(s, -1)] for s in range(TERMINAL)]
    states = one_hot(np.arange(TERMINAL), size)
    np.testing.assert_allclose(critic.value(states).detach(), value[:TERMINAL], atol=0.05)
    np.testing.assert_allclose(critic.slow_q(states, -torch.ones(TERMINAL, 1)), left, atol=0.05)


def test_imagined_returns_are_td_lambda_of_the_settings_lambda():
    """Eq. 8 from its definition, with V as it stands."""
    agent = chain_agent(lambda_=0.6)
    data, dream = real_steps(agent.world_model.features), dreams(agent.world_model.features)
    values = torch.rand(HORIZON + 1, dream.features.shape[1])
    agent.reward_critic.value = lambda s: values if s is dream.features else torch.zeros(s.shape[:-1])
    unused = torch.zeros(len(data.reward), 2, 1)
    _, _, returns = agent.critic_loss(agent.reward_critic, data, dream, data.reward, dream.reward, unused)
    expected = values[-1]
    for h in reversed(range(HORIZON)):
        expected = dream.reward[h] + dream.discount[h] * (0.4 * values[h + 1] + 0.6 * expected)
        torch.testing.assert_close(returns[h], expected)


@pytest.mark.parametrize("source", ["real and imagined steps", "real steps", "imagined steps"])
def test_violation_probability_equals_value_iteration(source):
    """p within 0.02 of the exact solution, which either half of the loss finds by itself."""
    agent = chain_agent()
    size = agent.world_model.features
    data, dream = real_steps(size), dreams(size)
    if "real" not in source:
        data = data._replace(valid=torch.zeros_like(data.valid))
    if "imagined" not in source:
        dream = dream._replace(weight=torch.zeros_like(dream.weight))
    train(agent, [agent.reachability], lambda: agent.reachability_loss(data, dream)[0], 300)
    exact = exact_reach()
    assert exact[2] == 1
    assert exact[0] < exact[1] < exact[3] < exact[2]
    found = agent.reachability.probability(one_hot(np.arange(TERMINAL), size)).detach()
    np.testing.assert_allclose(found, exact, atol=0.02)
