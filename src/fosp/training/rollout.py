"""Episodes of an agent in environments: the one loop under evaluation and online collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from fosp.agents.base import Agent, Mode
from fosp.config import EnvConfig
from fosp.data.episode import Episode
from fosp.envs import make_env, make_vec_env
from fosp.errors import InputError


@dataclass
class Rollout:
    """One episode and what the agent thought at each of its n steps."""

    episode: Episode
    info: dict[str, np.ndarray]
    """Per step (n,), such as "violation", "value_reward", "choice"."""


def open_environments(config: EnvConfig, count: int) -> VectorEnv:
    """`count` environments stepping together: one in this process, several in processes of their own.

    A single one is not reset when its episode ends: on a robot, that is asking a person to set up what nobody plays.
    """
    arguments: dict[str, Any] = {"observation": config.observation, "action_repeat": config.action_repeat}
    if count == 1:
        return SyncVectorEnv([lambda: make_env(config.id, **arguments)], autoreset_mode=AutoresetMode.DISABLED)
    return make_vec_env(config.id, count, **arguments)


def observation_spaces(env: gymnasium.Env | VectorEnv) -> tuple[dict[str, tuple[int, ...]], int]:
    """Shapes of one observation by key, and the action size, of an environment made by `fosp.make_env`."""
    single = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
    action = env.single_action_space if isinstance(env, VectorEnv) else env.action_space
    assert isinstance(single, gymnasium.spaces.Dict)
    assert action.shape is not None
    return {key: tuple(space.shape or ()) for key, space in single.spaces.items()}, action.shape[0]


def check_fits(agent: Agent, env: gymnasium.Env | VectorEnv, env_id: str) -> None:
    """Raise `InputError` unless the agent's observations and actions are those of the environment."""
    spaces, actions = observation_spaces(env)
    if (spaces, actions) != (agent.spaces, agent.actions):
        raise InputError(
            f"The agent has observations {agent.spaces} and {agent.actions} actions, as its data have, but {env_id} "
            f"has {spaces} and {actions}: choose an environment of the same observation and robot (--env)."
        )


def rollout(
    agent: Agent,
    environments: VectorEnv,
    seeds: Sequence[int],
    mode: Mode,
    generator: torch.Generator,
    *,
    behaviour: str,
    on_step: Callable[[int], None] = lambda _: None,
) -> list[Rollout]:
    """One episode in each environment, the first len(seeds) of which are kept.

    Args:
        agent: acts for all environments at once, each row on its own.
        environments: as `open_environments` makes them; one of several that ends early runs on unrecorded.
        seeds: reset seed of each episode; at most one per environment.
        mode: how the agent acts.
        generator: the agent's source of randomness, on its device.
        behaviour: name written into the episodes.
        on_step: called with the number of recorded steps after each of them; may raise to abandon the round.
    """
    count, resets = environments.num_envs, environments.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    padded = list(seeds) + [int(seeds[-1]) + 1 + i for i in range(count - len(seeds))]
    recorders = [Recorder(seed) for seed in seeds]
    observation, _ = environments.reset(seed=padded)  # type: ignore[arg-type]
    for i, recorder in enumerate(recorders):
        recorder.see({key: value[i] for key, value in observation.items()})
    state, is_first = agent.initial_state(count), np.ones(count, bool)
    while not all(recorder.done for recorder in recorders):
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in observation.items()}
        tensors["is_first"] = torch.from_numpy(is_first)
        action, state, info = agent.act(tensors, state, mode, generator)
        actions = action.cpu().numpy()
        thoughts = {key: value.float().cpu().numpy() for key, value in info.items()}
        observation, reward, terminated, truncated, infos = environments.step(actions)
        is_first = terminated | truncated
        recording = [i for i, recorder in enumerate(recorders) if not recorder.done]
        for i in recording:
            ended = bool(is_first[i])
            source = infos["final_info"] if ended and resets else infos
            last = infos["final_obs"][i] if ended and resets else {key: value[i] for key, value in observation.items()}
            recorders[i].step(
                actions[i],
                float(reward[i]),
                {k: float(v[i]) for k, v in source.items() if _is_signal(k) and source[f"_{k}"][i]},
                bool(terminated[i]),
                bool(truncated[i]),
                last,
                {key: value[i] for key, value in thoughts.items()},
            )
        on_step(len(recording))
    return [recorder.finish(behaviour) for recorder in recorders]


def _is_signal(name: str) -> bool:
    return name == "frames" or name == "cost" or name.startswith("cost_")


class Recorder:
    """Collects one episode."""

    def __init__(self, seed: int) -> None:
        self.seed, self.done = seed, False
        self.observations: list[dict[str, np.ndarray]] = []
        self.actions: list[np.ndarray] = []
        self.rewards: list[float] = []
        self.signals: list[dict[str, float]] = []
        self.thoughts: list[dict[str, Any]] = []
        self.terminated = self.truncated = False

    def see(self, observation: dict[str, np.ndarray]) -> None:
        """The first observation; the others come with `step`."""
        # Vector environments reuse their observation arrays.
        self.observations.append({key: np.array(value) for key, value in observation.items()})

    def step(
        self,
        action: np.ndarray,
        reward: float,
        signals: dict[str, float],
        terminated: bool,
        truncated: bool,
        observation: dict[str, np.ndarray],
        thoughts: dict[str, Any],
    ) -> None:
        """An action, and what it led to; `signals` are cost, cost_<kind> and frames."""
        self.actions.append(action.copy())
        self.rewards.append(reward)
        self.signals.append(signals)
        self.thoughts.append(thoughts)
        self.terminated, self.truncated, self.done = terminated, truncated, terminated or truncated
        self.see(observation)

    def finish(self, behaviour: str) -> Rollout:
        """The episode, as played by `behaviour`."""
        kinds = sorted({key for signals in self.signals for key in signals if key.startswith("cost_")})
        episode = Episode(
            observations={key: np.stack([o[key] for o in self.observations]) for key in self.observations[0]},
            actions=np.stack(self.actions),
            rewards=np.array(self.rewards, np.float32),
            costs=np.array([signals["cost"] for signals in self.signals], np.float32),
            terminated=self.terminated,
            truncated=self.truncated,
            behaviour=behaviour,
            seed=self.seed,
            frames=int(sum(signals.get("frames", 1) for signals in self.signals)),
            cost_kinds={
                kind.removeprefix("cost_"): np.array([s.get(kind, 0.0) for s in self.signals], np.float32)
                for kind in kinds
            },
        )
        names = self.thoughts[0] if self.thoughts else {}
        return Rollout(episode, {key: np.array([t[key] for t in self.thoughts]) for key in names})
