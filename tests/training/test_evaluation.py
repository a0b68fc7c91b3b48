"""Evaluation and collection: every step counted once, the last one too; estimates against brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from fosp.data import Episode
from fosp.envs import make_env
from fosp.training.evaluation import calibration, discounted_reach, discounted_sums, evaluate
from fosp.training.online import Counters
from fosp.training.rollout import Rollout, observation_spaces, open_environments, rollout
from tiny import LIMIT, LINE, Line, tiny_agent, tiny_config

ENDS = "tiny:TinyLineEnds-v0"


class Script:
    """An agent that plays written actions: row i plays actions[i] again and again, and notes what it is shown."""

    def __init__(self, *actions: float) -> None:
        self.actions = torch.tensor(actions).unsqueeze(-1)
        self.firsts: list[list[bool]] = []
        self.step = 0

    def initial_state(self, batch: int) -> int:
        return 0

    def act(self, observation, state, mode, generator):
        self.firsts.append(observation["is_first"].tolist())
        self.step += 1
        return self.actions, state, {"violation": torch.full((len(self.actions),), float(self.step))}


def environments(count: int, env_id: str = LINE) -> SyncVectorEnv:
    make = lambda: make_env(env_id, observation="vector", action_repeat=1)  # noqa: E731
    return SyncVectorEnv([make] * count, autoreset_mode=AutoresetMode.SAME_STEP)


def played_by_hand(seed: int, action: float, ends: bool = False) -> Episode:
    """The same episode in a bare loop."""
    env = Line(ends=ends)
    observation, _ = env.reset(seed=seed)
    observations, rewards, costs, done = [observation], [], [], False
    while not done:
        observation, reward, terminated, truncated, info = env.step(np.array([action], np.float32))
        observations.append(observation)
        rewards.append(reward)
        costs.append(info["cost"])
        done = terminated or truncated
    return Episode(
        observations={"vector": np.stack(observations)},
        actions=np.full((len(rewards), 1), action, np.float32),
        rewards=np.array(rewards),
        costs=np.array(costs),
        terminated=terminated,
        truncated=truncated,
    )


def same_episode(a: Episode, b: Episode) -> None:
    np.testing.assert_array_equal(a.observations["vector"], b.observations["vector"])
    np.testing.assert_array_equal(a.actions, b.actions)
    np.testing.assert_array_equal(a.rewards, b.rewards)
    np.testing.assert_array_equal(a.costs, b.costs)
    assert (a.terminated, a.truncated) == (b.terminated, b.truncated)


# ------------------------------------------------------------------------------ rollout


@pytest.mark.parametrize("env_id", [LINE, ENDS])
def test_rollouts_are_the_episodes_of_a_bare_loop(env_id):
    """With several environments and early ends, the last step's cost and observation included."""
    actions = (1.0, 0.2, -1.0)
    vector = environments(3, env_id)
    result = rollout(Script(*actions), vector, [11, 12, 13], "mean", torch.Generator(), behaviour="b")
    for r, seed, action in zip(result, (11, 12, 13), actions, strict=True):
        expected = played_by_hand(seed, action, ends=env_id == ENDS)
        same_episode(r.episode, expected)
        assert (r.episode.seed, r.episode.behaviour, r.episode.frames) == (seed, "b", len(expected))
        np.testing.assert_array_equal(r.episode.cost_kinds["hazard"], expected.costs)
        np.testing.assert_array_equal(r.info["violation"], np.arange(1, len(expected) + 1))
    if env_id == ENDS:
        assert result[0].episode.terminated
        assert result[0].episode.costs[-1] == 1
        assert result[0].episode.total_cost == 1
        assert len(result[0].episode) < len(result[2].episode) == LIMIT


def test_an_agent_is_told_where_each_environment_begins_anew():
    script = Script(1.0, -1.0)
    result = rollout(script, environments(2, ENDS), [11, 12], "mean", torch.Generator(), behaviour="b")
    ended = len(result[0].episode)
    assert script.firsts[0] == [True, True]
    assert script.firsts[ended] == [True, False]  # the first environment starts over and is not recorded any more
    assert not any(first[1] for first in script.firsts[1:])


def test_surplus_environments_are_not_recorded():
    counted = []
    result = rollout(
        Script(0.0, 0.1, 0.2), environments(3), [5], "mean", torch.Generator(), behaviour="b", on_step=counted.append
    )
    assert len(result) == 1
    same_episode(result[0].episode, played_by_hand(5, 0.0))
    assert counted == [1] * LIMIT


def test_action_repeat_sums_rewards_costs_and_frames():
    config = tiny_config(action_repeat=4).env
    vector = open_environments(config, 1)
    (r,) = rollout(Script(1.0), vector, [3], "mean", torch.Generator(), behaviour="b")
    vector.close()
    single = played_by_hand(3, 1.0)
    np.testing.assert_allclose(r.episode.rewards, single.rewards.reshape(5, 4).sum(1), rtol=1e-6)
    np.testing.assert_allclose(r.episode.costs, single.costs.reshape(5, 4).sum(1))
    assert r.episode.frames == LIMIT


def test_observation_spaces_of_single_and_vector_environments():
    single, vector = make_env(LINE, observation="vector"), environments(2)
    assert observation_spaces(single) == observation_spaces(vector) == ({"vector": (2,)}, 1)


# ----------------------------------------------------------------------------- evaluate


def test_evaluation_totals_are_those_of_its_seeds_whatever_the_number_of_environments():
    config = tiny_config().env
    agent = tiny_agent()
    for n in (1, 3):
        result = evaluate(agent, config, 5, environments=environments(n), first_seed=70)
        assert result.seeds == [70, 71, 72, 73, 74]
        assert result.lengths == [LIMIT] * 5
    episodes = [played_by_hand(seed, 0.5) for seed in range(70, 73)]
    for n in (1, 3):  # Eqs. 2 to 4: undiscounted sums, and their means
        agent.act = lambda observation, state, *_: (torch.full((len(observation["is_first"]), 1), 0.5), state, {})
        result = evaluate(agent, config, 3, environments=environments(n), first_seed=70)
        assert result.returns == pytest.approx([sum(map(float, episode.rewards)) for episode in episodes])
        assert result.costs == pytest.approx([sum(map(float, episode.costs)) for episode in episodes])
        assert result.reward == pytest.approx(sum(float(r) for e in episodes for r in e.rewards) / 3)
        assert result.cost == pytest.approx(sum(float(c) for e in episodes for c in e.costs) / 3)


def test_evaluation_is_repeatable_and_leaves_training_alone():
    config, agent = tiny_config().env, tiny_agent()
    before = agent.generator.get_state()
    results = [evaluate(agent, config, 2, mode="sample") for _ in range(2)]
    assert results[0].returns == results[1].returns
    assert torch.equal(before, agent.generator.get_state())
    assert results[0].seeds == [1_000_000, 1_000_001]


def test_an_evaluation_line_holds_every_episode(tmp_path):
    result = evaluate(tiny_agent(), tiny_config().env, 2)
    result.append_to(tmp_path / "e.jsonl", phase="online", update=7, frames=80, cost_regret=0.25)
    line = json.loads((tmp_path / "e.jsonl").read_text())
    assert {k: line[k] for k in ("phase", "update", "frames", "cost_regret")} == {
        "phase": "online",
        "update": 7,
        "frames": 80,
        "cost_regret": 0.25,
    }
    assert (line["agent"], line["mode"], line["env"], line["observation"]) == ("fosp", "mean", LINE, "vector")
    assert line["returns"] == result.returns
    assert line["costs"] == result.costs
    assert line["seeds"] == result.seeds
    assert line["lengths"] == [LIMIT, LIMIT]


def test_cost_regret_is_cost_per_frame():
    assert Counters().cost_regret == 0
    assert Counters(cost=30.0, frames=1200).cost_regret == pytest.approx(0.025)


# -------------------------------------------------------------------------- calibration


def brute_force_sum(x: np.ndarray, t: int, gamma: float, last: float) -> float:
    n = len(x)
    return sum(gamma ** (k - t) * x[k] for k in range(t, n)) + gamma ** (n - t) * last


def brute_force_reach(violated: np.ndarray, t: int, gamma: float) -> float:
    later = [k for k in range(t, len(violated)) if violated[k]]
    return gamma ** (later[0] - t) if later else 0.0


def test_discounted_sums_and_reach_are_brute_force():
    rng = np.random.default_rng(0)
    x, violated = rng.normal(size=30), rng.random(30) < 0.1
    assert violated.any()
    np.testing.assert_allclose(discounted_sums(x, 0.9, 2.5), [brute_force_sum(x, t, 0.9, 2.5) for t in range(30)])
    np.testing.assert_allclose(
        discounted_reach(violated, 0.9), [brute_force_reach(violated, t, 0.9) for t in range(30)]
    )


def invented(terminated: bool, seed: int) -> Rollout:
    rng = np.random.default_rng(seed)
    n = 12
    episode = Episode(
        {"vector": np.zeros((n + 1, 1), np.float32)},
        np.zeros((n, 1)),
        rng.normal(size=n),
        (np.arange(n) == n - 1).astype(float),  # only the very last step costs
        terminated,
        not terminated,
    )
    return Rollout(episode, {name: rng.normal(size=n) for name in ("value_reward", "value_cost", "violation")})


def test_calibration_is_brute_force_over_all_steps_of_all_episodes():
    rollouts = [invented(True, 0), invented(False, 1)]
    found = calibration(rollouts, 0.9, 0.8)
    pairs: dict[str, list[tuple[float, float]]] = {"value_reward": [], "value_cost": [], "violation": []}
    for r in rollouts:
        n = len(r.episode)
        for name, x in (("value_reward", r.episode.rewards), ("value_cost", r.episode.costs)):
            # At a time limit the critic's last value stands for what would have followed.
            last = 0.0 if r.episode.terminated else r.info[name][-1]
            pairs[name] += [(r.info[name][t], brute_force_sum(x, t, 0.9, last)) for t in range(n)]
        # Arriving in observation t has the cost of step t - 1; the last step's cost is reached from before.
        violated = np.array([False, *(r.episode.costs > 0)])
        pairs["violation"] += [(r.info["violation"][t], brute_force_reach(violated, t, 0.8)) for t in range(n)]
    for name, values in pairs.items():
        estimate, outcome = np.array(values).T
        assert outcome.std() > 0
        assert found[f"calibration/{name}_mean"] == pytest.approx(estimate.mean())
        assert found[f"calibration/{name}_error"] == pytest.approx((estimate - outcome).mean())
        expected = np.corrcoef(estimate, outcome)[0, 1]
        assert found[f"calibration/{name}_correlation"] == pytest.approx(expected)


def test_perfect_estimates_are_calibrated():
    r = invented(True, 3)
    violated = np.array([False, *(r.episode.costs > 0)])
    n = len(r.episode)
    r.info["value_reward"] = np.array([brute_force_sum(r.episode.rewards, t, 0.9, 0.0) for t in range(n)])
    r.info["value_cost"] = np.array([brute_force_sum(r.episode.costs, t, 0.9, 0.0) for t in range(n)])
    r.info["violation"] = np.array([brute_force_reach(violated, t, 0.8) for t in range(n)])
    found = calibration([r], 0.9, 0.8)
    for name in ("value_reward", "value_cost", "violation"):
        assert found[f"calibration/{name}_error"] == pytest.approx(0, abs=1e-6)
        assert found[f"calibration/{name}_correlation"] == pytest.approx(1)


def test_calibration_without_estimates_or_spread():
    assert calibration([], 0.9, 0.8) == {}
    r = invented(True, 0)
    assert calibration([Rollout(r.episode, {})], 0.9, 0.8) == {}
    r.info["value_reward"] = np.ones(len(r.episode))
    assert calibration([r], 0.9, 0.8)["calibration/value_reward_correlation"] == 0
