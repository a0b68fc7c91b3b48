"""The scripted behaviours, and the geometry they plan with."""

import numpy as np
import pytest

from fosp.envs import make_env
from fosp.envs.behaviours import field, make_behaviour
from fosp.envs.planner import Motion, MotionModel, PathMap, blocked, rollout
from fosp.errors import InputError


def play(name, episodes, env_id="SafetyPointGoal1-v0", seed=0):
    env = make_env(env_id, observation="vector")
    behaviour = make_behaviour(name, seed)
    returns, costs, actions = [], [], []
    for episode in range(episodes):
        env.reset(seed=seed if episode == 0 else None)
        behaviour.reset(env)
        total = cost = 0.0
        done = False
        while not done:
            action = behaviour.act(env)
            actions.append(action)
            _, reward, terminated, truncated, info = env.step(action)
            total, cost, done = total + reward, cost + info["cost"], terminated or truncated
        returns.append(total)
        costs.append(cost)
    return np.array(returns), np.array(costs), np.array(actions)


def test_safe_reaches_goals_and_costs_nothing():
    returns, costs, actions = play("safe", 3)
    assert returns.mean() > 10
    assert costs.sum() == 0
    assert (np.abs(actions) > 0.99).mean() < 0.5
    assert actions.dtype == np.float32


def test_reactive_reaches_as_much_at_hardly_any_cost():
    returns, costs, _ = play("reactive", 6)
    assert returns.mean() > 13
    assert costs.mean() < 5


def test_the_field_without_obstacles_and_beside_one():
    """Straight to the goal; an obstacle behind it is none; one on the left of the way is passed on its right."""
    goal = np.array([1.0, 0.0])
    pull, strongest = field(goal, np.zeros((0, 2)), np.zeros(0))
    np.testing.assert_allclose(pull, [1.0, 0.0])
    assert strongest == 0
    pull, _ = field(goal, np.array([[3.0, 0.1]]), np.array([0.2]))
    np.testing.assert_allclose(pull, [1.0, 0.0], atol=1e-4)
    for side in (1, -1):
        pull, strongest = field(goal, np.array([[0.5, side * 0.1]]), np.array([0.2]))
        assert side * pull[1] < -0.3
        assert strongest == pytest.approx(np.exp((0.4 - np.hypot(0.5, 0.1)) / 0.15))
    # as far beyond an obstacle's rim as the margin, its repulsion weighs exp(0)
    assert field(goal, np.array([[-0.4, 0.0]]), np.array([0.2]))[1] == pytest.approx(1.0)


def test_near_states_have_near_pulls():
    """A centimetre to the side turns the pull by little, even where the robot heads for the middle of an obstacle."""
    goal, radius = np.array([2.0, 0.0]), np.array([0.2, 0.2])
    at = [field(goal, np.array([[0.6, y], [1.0, 0.8]]), radius)[0] for y in np.arange(-0.5, 0.5, 0.01)]
    angles = np.unwrap(np.arctan2(*np.array(at).T[::-1]))
    assert np.abs(np.diff(angles)).max() < 0.15


def test_unsafe_reaches_more_and_costs_much():
    returns, costs, _ = play("unsafe", 3)
    assert returns.mean() > 16
    assert costs.mean() > 10


def test_the_same_seed_acts_the_same_and_another_does_not():
    first, second, other = (play("random", 1, seed=s)[2] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1


def test_unknown_behaviours_and_tasks_beyond_them_are_named():
    with pytest.raises(InputError, match="brave"):
        make_behaviour("brave", 0)
    for env_id, name, complaint in (
        ("SafetyRacecarRace1-v0", "unsafe", "cannot drive the Racecar"),
        ("SafetyPointRace1-v0", "safe", "walls"),
        ("SafetyPointRace1-v0", "reactive", "walls"),
    ):
        env = make_env(env_id, observation="vector")
        env.reset(seed=0)
        with pytest.raises(InputError, match=complaint):
            make_behaviour(name, 0).reset(env)


@pytest.mark.parametrize(("name", "reward"), [("safe", 1.0), ("unsafe", 2.0)])
def test_boxes_are_pushed_from_behind(name, reward):
    returns, costs, _ = play(name, 3, "SafetyPointPush1-v0")
    assert returns.mean() > reward
    assert name == "unsafe" or costs.sum() == 0


def test_segments_and_circles():
    circles = np.array([[1.0, 0.0, 0.5]])
    start = np.array([[0.0, 0.0], [0.0, 0.6], [0.9, 0.0]])
    end = np.array([[2.0, 0.0], [2.0, 0.6], [0.2, 0.0]])
    # through the middle; passing at 0.6; and out of the circle from within, which is always free
    np.testing.assert_array_equal(np.diag(blocked(start, end, circles)), [True, False, False])


def test_the_way_around_a_circle():
    """Around a circle of radius 1 from (-2, 0) to (2, 0): two tangents and an arc, 2 sqrt(3) + pi / 3."""
    goal = np.array([2.0, 0.0])
    paths = PathMap(goal, np.array([[0.0, 0.0, 1.0]]))
    way = [np.array([-2.0, 0.0])]
    while (way[-1] != goal).any():
        way.append(paths.waypoint(way[-1]))
    shortest = 2 * np.sqrt(3) + np.pi / 3
    assert shortest < np.linalg.norm(np.diff(way, axis=0), axis=1).sum() < 1.1 * shortest
    np.testing.assert_array_equal(paths.waypoint(np.array([2.0, 1.0])), goal)


def test_rollout_against_the_closed_form():
    """Straight ahead from rest: v = a / d (1 - exp(-d t)), x = a / d (t - (1 - exp(-d t)) / d)."""
    model = MotionModel(acceleration=2.0, drag=1.5, turn_rate=3.0, turn_lag=0.05, slides=True)
    start = Motion(np.zeros(2), np.zeros(2), 0.0, 0.0)
    positions = rollout(model, start, np.array([1.0]), np.array([0.0]), 100, 0, 0.01)
    v = 2.0 / 1.5 * (1 - np.exp(-1.5))
    x = 2.0 / 1.5 * (1.0 - (1 - np.exp(-1.5)) / 1.5)
    np.testing.assert_allclose(positions[-1, 0], [x, 0.0], rtol=1e-3)
    np.testing.assert_allclose((positions[-1, 0] - positions[-2, 0]) / 0.01, [v, 0.0], rtol=5e-3)
