"""A small learning run: from mixed behaviours on the line, FOSP must do better and safer than cloning them.

The hazard pays as much as the goal beside it, so reward alone leads into it: a policy must read its costs to pass.
What three seeds reached when the thresholds were set (data: return 11.3, cost 6.6):

    sampled actions, return     FOSP 14.8 to 16.1     cloning  6.3 to 7.5
    mean actions, cost          FOSP  0.2 to  4.3     cloning 10.9 to 14.8
"""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from fosp.agents.base import Mode
from fosp.data import Replay
from fosp.envs import make_env
from fosp.training.evaluation import EvaluationResult, evaluate
from tiny import LINE, play, tiny_agent, tiny_config

UPDATES = 400
SETTINGS = {
    "world_model.units": 32,
    "world_model.deterministic": 32,
    "world_model.learning_rate": 2e-3,
    "behaviour.units": 32,
    "behaviour.gamma": 0.9,
    "behaviour.lambda_": 0.9,
    "behaviour.beta_reward": 10.0,
    "behaviour.beta_cost": 10.0,
    "behaviour.entropy": 3e-4,
    "behaviour.slow_critic_rate": 0.1,
    "behaviour.reach_gamma": 0.8,
    "behaviour.reach_initial": 0.02,
    "behaviour.multiplier": 0.01,
    "behaviour.penalty": 1e-6,
    "behaviour.penalty_growth": 5e-9,
    "behaviour.actor_learning_rate": 2e-3,
    "behaviour.critic_learning_rate": 2e-3,
    "behaviour.reach_learning_rate": 3e-3,
}


def mixed_behaviours() -> Replay:
    """A fifth each: anywhere at random, far from the goal, at the goal; two fifths into the hazard."""
    replay = Replay(5000, {"vector": (2,)}, 1)
    for i in range(25):
        for kind, target in enumerate((None, -0.7, 0.5, 0.9, 0.9)):
            replay.add(play(100 * kind + i, target))
    return replay


@pytest.fixture(scope="module")
def replay() -> Replay:
    return mixed_behaviours()


def trained(name: str, replay: Replay) -> dict[Mode, EvaluationResult]:
    """Both ways of acting after training on the data alone."""
    agent = tiny_agent(SETTINGS | {"agent": name})
    agent.see_bounds(replay.reward_max, replay.cost_max)
    sampler = np.random.default_rng(0)
    for _ in range(UPDATES):
        agent.update(replay.sample(8, 8, sampler))
    environments = SyncVectorEnv(
        [lambda: make_env(LINE, observation="vector", action_repeat=1)] * 20, autoreset_mode=AutoresetMode.SAME_STEP
    )
    env = tiny_config().env
    modes: tuple[Mode, ...] = ("sample", "mean")
    return {mode: evaluate(agent, env, 40, mode=mode, environments=environments) for mode in modes}


@pytest.fixture(scope="module")
def results(replay) -> dict[str, dict[Mode, EvaluationResult]]:
    """What each agent makes of the same data."""
    return {name: trained(name, replay) for name in ("bc", "fosp", "dreamer")}


def test_fosp_earns_more_and_costs_less_than_cloning(results):
    cloned, learned = results["bc"], results["fosp"]
    assert learned["sample"].reward > cloned["sample"].reward + 4
    assert learned["sample"].reward > 11.3
    assert learned["mean"].cost < cloned["mean"].cost - 4
    assert learned["mean"].cost < 6.6


def test_dreamer_earns_more_and_pays_for_it(results):
    """Reward waits in the hazard, too, and nothing tells this agent to stay out: 18.6 against 17.6 at first."""
    safe, reckless = results["fosp"], results["dreamer"]
    assert reckless["mean"].reward > safe["mean"].reward + 0.5
    assert reckless["mean"].cost > safe["mean"].cost + 4
