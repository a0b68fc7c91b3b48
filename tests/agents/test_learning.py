"""A small learning run: from mixed behaviours on the line, FOSP must do better and safer than cloning them.

The hazard pays as much as the goal beside it, so reward alone leads into it: a policy must read its costs to pass. The
thresholds stand well inside what three seeds reached when they were set (return 14.5 to 16, cost 0.4 to 0.9; cloning:
10.5 to 11.4 and 4.8 to 5.3); an algorithm with a wrong sign misses them.
"""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from fosp.data import Replay
from fosp.envs import make_env
from fosp.training.evaluation import EvaluationResult, evaluate
from tiny import LINE, play, tiny_agent, tiny_config

UPDATES = 450
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


@pytest.fixture(scope="module")
def replay() -> Replay:
    """A fifth each: anywhere at random, far from the goal, at the goal; two fifths into the hazard."""
    replay = Replay(5000, {"vector": (2,)}, 1)
    for i in range(25):
        for kind, target in enumerate((None, -0.7, 0.5, 0.9, 0.9)):
            replay.add(play(100 * kind + i, target))
    return replay


def trained(name: str, replay: Replay) -> EvaluationResult:
    agent = tiny_agent(SETTINGS | {"agent": name})
    agent.see_bounds(replay.reward_max, replay.cost_max)
    sampler = np.random.default_rng(0)
    for _ in range(UPDATES):
        agent.update(replay.sample(8, 8, sampler))
    environments = SyncVectorEnv(
        [lambda: make_env(LINE, observation="vector", action_repeat=1)] * 20, autoreset_mode=AutoresetMode.SAME_STEP
    )
    return evaluate(agent, tiny_config().env, 40, mode="sample", environments=environments)


def test_fosp_earns_more_and_costs_less_than_cloning(replay):
    cloned, learned = trained("bc", replay), trained("fosp", replay)
    assert learned.reward > cloned.reward + 2
    assert learned.reward > 13
    assert cloned.cost > 2
    assert learned.cost < 0.4 * cloned.cost
