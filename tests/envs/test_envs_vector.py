"""Several environments at once: nothing of an episode's last step is lost."""

import os
import signal

import numpy as np
import pytest

from fosp.envs import make_env, make_vec_env
from fosp.errors import InputError

ID = "SafetyPointGoal1-v0"


def test_two_processes_equal_two_environments_across_an_automatic_reset():
    arguments = {"observation": "vector", "action_repeat": 100}  # 10 steps an episode
    single = [make_env(ID, **arguments) for _ in range(2)]
    vector = make_vec_env(ID, 2, **arguments)
    rng = np.random.default_rng(0)
    try:
        observations, _ = vector.reset(seed=7)
        for i, env in enumerate(single):
            np.testing.assert_array_equal(observations["vector"][i], env.reset(seed=7 + i)[0]["vector"])
        ended = 0
        for _ in range(22):
            actions = rng.uniform(-1, 1, (2, 2)).astype(np.float32)
            observations, rewards, terminated, truncated, infos = vector.step(actions)
            for i, env in enumerate(single):
                observation, reward, term, trunc, info = env.step(actions[i])
                assert rewards[i] == reward
                assert (terminated[i], truncated[i]) == (term, trunc)
                if trunc:
                    ended += 1
                    np.testing.assert_array_equal(infos["final_obs"][i]["vector"], observation["vector"])
                    final = {key: value[i] for key, value in infos["final_info"].items() if not key.startswith("_")}
                    observation = env.reset()[0]
                else:
                    final = {key: value[i] for key, value in infos.items() if key in info}
                assert final["cost"] == info["cost"]
                assert final["cost_hazards"] == info["cost_hazards"]
                np.testing.assert_array_equal(observations["vector"][i], observation["vector"])
        assert ended == 4
    finally:
        vector.close()


def test_pictures_travel_through_shared_memory():
    vector = make_vec_env("SafetyPointGoal1-v0", 2, observation="image")
    try:
        observations, _ = vector.reset(seed=0)
        assert observations["image"].shape == (2, 64, 64, 6)
        env = make_env("SafetyPointGoal1-v0")
        np.testing.assert_array_equal(observations["image"][0], env.reset(seed=0)[0]["image"])
        env.close()
    finally:
        vector.close()


def test_ctrl_c_does_not_end_the_processes():
    """It reaches all that share a terminal; the one that steps them finishes its round and saves."""
    vector = make_vec_env(ID, 2, observation="vector")
    try:
        vector.reset(seed=0)
        for process in vector.processes:
            os.kill(process.pid, signal.SIGINT)
        for _ in range(3):
            vector.step(np.zeros((2, 2), np.float32))
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # here it still counts
    finally:
        vector.close()


def test_bad_arguments_fail_before_a_process_starts():
    with pytest.raises(InputError, match="n=0"):
        make_vec_env(ID, 0)
    with pytest.raises(InputError, match="profile"):
        make_vec_env(ID, 2, profile="none")
