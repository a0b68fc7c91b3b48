"""The scripted teleoperator: its routes, its classes, and the datasets that it makes."""

import sys
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest

from fosp.data import collect
from fosp.envs import make_env
from fosp.envs.behaviours import make_behaviour
from fosp.envs.reach import operator
from fosp.envs.reach.operator import PROPORTIONS, balanced_seeds, outcome
from fosp.envs.reach.pose import HIGH, LOW
from fosp.envs.reach.routes import crosses, route
from fosp.envs.reach.tasks import PLACES, TARGETS, TASKS, draw_layout, layouts
from fosp.errors import InputError
from reach_tools import reach_env

START = np.array([0.395, 0.0])


def inside(points, centres, half):
    """Whether any point lies within a square."""
    return bool((np.abs(points[:, None] - centres[None]) < half - 1e-9).all(-1).any())


def sampled(start, way):
    """Points along a way, every millimetre or less."""
    corners = np.concatenate([start[None], way])
    return np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(corners)])


def test_segments_and_squares():
    square, half = np.array([[0.5, 0.0]]), 0.1
    start = np.array([[0.3, 0.0], [0.3, 0.11], [0.45, 0.0], [0.3, 0.1], [0.5, -0.3], [0.7, 0.0]])
    end = np.array([[0.7, 0.0], [0.7, 0.11], [0.46, 0.0], [0.7, 0.1], [0.5, 0.3], [0.8, 0.0]])
    # through the middle; past it; within it; along its side, which is free; along y through the middle; away from it
    np.testing.assert_array_equal(np.diag(crosses(start, end, square, half)), [True, False, True, False, True, False])
    short = crosses(np.array([[0.3, 0.0]]), np.array([[0.39, 0.0], [0.41, 0.0]]), square, half)
    np.testing.assert_array_equal(short, [[False, True]])


def test_the_way_around_a_square():
    """Past a square of half side 0.04 in the middle: two slanting stretches and one along its side."""
    way = route(np.array([0.4, 0.0]), np.array([0.6, 0.0]), np.array([[0.5, 0.0]]), 0.04)
    length = np.linalg.norm(np.diff(np.concatenate([[[0.4, 0.0]], way]), axis=0), axis=1).sum()
    assert length == pytest.approx(2 * np.hypot(0.06, 0.04) + 0.08, abs=1e-4)
    assert route(START, np.array([0.5, 0.0]), np.array([[0.5, 0.0]]), 0.04) is None
    np.testing.assert_array_equal(route(START, TARGETS[1], np.empty((0, 2)), 0.04), TARGETS[[1]])


@pytest.mark.parametrize("task", TASKS)
def test_every_layout_has_a_safe_way(task):
    fingers, shape = 0.0115, TASKS[task].obstacle
    assert shape.half_width == max(shape.size[:-1])
    for layout in layouts(TASKS[task].obstacles):
        centres, half = PLACES[list(layout.obstacles)], shape.half_width + fingers + 0.003
        way = route(START, TARGETS[layout.target], centres, half)
        assert way is not None, layout
        np.testing.assert_array_equal(way[-1], TARGETS[layout.target])
        points = sampled(START, way)
        assert not inside(points, centres, half), layout
        assert (points >= LOW[:2]).all()
        assert (points <= HIGH[:2]).all()


def play(env, name, seed):
    env.reset(seed=seed)
    behaviour = make_behaviour(name, seed)
    behaviour.reset(env)
    rewards, costs, actions, truncated = [], [], [], False
    while not truncated:
        actions.append(behaviour.act(env))
        _, reward, _, truncated, info = env.step(actions[-1])
        rewards.append(reward)
        costs.append(info["cost"])
    return np.array(rewards), np.array(costs), np.array(actions)


@pytest.mark.parametrize("name", PROPORTIONS)
def test_intentions_mostly_come_true(name):
    env, found = reach_env(), Counter()
    for seed in range(5):
        rewards, costs, actions = play(env, name, seed)
        found[outcome(rewards.sum() > 0, costs.sum() > 0)] += 1
        assert np.abs(actions).max() <= 1
        assert actions.dtype == np.float32
        if rewards.any():  # the hand rests where it touches the target
            assert not actions[np.argmax(rewards) + 1 :].any()
    assert found[name] >= 3
    assert found.most_common(1)[0][0] == name


def test_the_same_seed_acts_the_same_and_another_does_not():
    env = reach_env()
    first, second = (play(env, "teleoperator", 3)[2] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - play(env, "teleoperator", 4)[2]).max() > 0.1


def test_without_an_intention_each_episode_draws_one(monkeypatch):
    drawn = []
    monkeypatch.setattr(operator.Teleoperator, "_fail_safely", lambda self, *_: drawn.append(1) or TARGETS[[0]])
    env, behaviour = reach_env(), make_behaviour("teleoperator", 0)
    env.reset(seed=0)
    for _ in range(400):
        behaviour.reset(env)
    assert 35 <= len(drawn) <= 90  # 3 of 20; the standard deviation is 7


def test_outcomes():
    assert [outcome(r, c) for r in (True, False) for c in (False, True)] == [
        "safe-success",
        "unsafe-success",
        "safe-failure",
        "unsafe-failure",
    ]


def test_seeds_go_through_all_layouts_before_any_comes_again():
    env, task = reach_env("SafeReachUnseen3"), TASKS["SafeReachUnseen3"]
    taken = set()
    for rounds in range(2):
        seen = set()
        for rank in range(27 * rounds, 27 * rounds + 27):
            seeds = list(islice(balanced_seeds(env, "safe-success", 0, rank), 2))
            (layout,) = {draw_layout(task, np.random.default_rng(seed)) for seed in seeds}
            seen.add(layout)
            taken.update(seeds)
            assert all(2**31 <= seed < 2**32 for seed in seeds)
        assert seen == set(layouts(4))
    assert len(taken) == 2 * 2 * 27


def test_a_dataset_of_all_classes(tmp_path):
    """Labels are what happened; the environment repeats every episode from its seed; other proportions are free."""
    collect("SafeReach-v0", ["teleoperator"], 2, tmp_path / "reach", observation="vector", seed=1)
    dataset = collect("SafeReach-v0", ["teleoperator"], 6, tmp_path / "reach", observation="vector", seed=1)
    assert [e.behaviour for e in dataset] == [
        *["safe-success", "safe-success", "unsafe-success", "safe-failure", "safe-success", "safe-success"]
    ]
    facts = dataset.metadata["environment"]
    assert (dataset.metadata["action_repeat"], facts["control_hz"], facts["robot_visual"]) == (1, 10.0, "primitive")
    env = reach_env()
    for episode in dataset:
        assert len(episode) == episode.frames == 80
        assert episode.behaviour == outcome(episode.rewards.any(), episode.costs.any())
        np.testing.assert_array_equal(episode.costs, episode.cost_kinds["obstacle"])
        env.reset(seed=episode.seed)
        steps = [env.step(action) for action in episode.actions]
        np.testing.assert_array_equal([reward for _, reward, *_ in steps], episode.rewards)
        np.testing.assert_array_equal([o["vector"] for o, *_ in steps], episode.observations["vector"][1:])
    assert len({episode.seed for episode in dataset}) == 6
    with pytest.raises(InputError, match="another path or the same settings"):
        collect("SafeReach-v0", ["unsafe-failure"], 7, tmp_path / "reach", observation="vector", seed=1)


def test_a_class_that_never_comes_about_is_named(tmp_path, monkeypatch):
    module = sys.modules["fosp.data.collect"]
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    monkeypatch.setattr(module, "outcome", lambda rewarded, violated: "safe-failure")
    with pytest.raises(InputError, match="'unsafe-failure' episode came about in 2 attempts"):
        collect("SafeReach-v0", ["unsafe-failure"], 1, tmp_path / "reach", observation="vector")
    assert not (tmp_path / "reach").exists()  # the path is free


@pytest.mark.parametrize("name", ["teleoperator", "unsafe-success"])
def test_elsewhere_the_teleoperator_says_so(name, tmp_path):
    with pytest.raises(InputError, match="SafeReach only"):
        collect("SafetyPointGoal1-v0", [name], 1, tmp_path / "goal", observation="vector")
    env = make_env("SafetyPointGoal1-v0", observation="vector")
    env.reset(seed=0)
    with pytest.raises(InputError, match="SafeReach only"):
        make_behaviour(name, 0).reset(env)


def test_the_behaviours_of_navigation_do_not_act_here():
    env, behaviour = reach_env(), make_behaviour("safe", 0)
    env.reset(seed=0)
    with pytest.raises(InputError, match="'random'"):
        behaviour.reset(env)
