"""Episodes of a policy in an environment, from the directories that a user has."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from fosp.config import load_config
from fosp.deploy.control import Ride, ride
from fosp.deploy.export import export_policy
from fosp.deploy.policy import FACTS, Policy
from fosp.envs import make_env
from fosp.errors import InputError
from fosp.hardware.operator import TerminalOperator
from fosp.training.data import EpisodeStore
from fosp.training.rollout import observation_spaces


def drive(
    source: Path,
    *,
    env: str | None = None,
    episodes: int = 1,
    rate: float | None = None,
    guard: bool = True,
    dead_man: bool = False,
    log: Path | None = None,
    seed: int = 0,
) -> Iterator[Ride]:
    """Play `episodes` episodes under `fosp.deploy.control.ride`, each as it is asked for; see `fosp run-robot` for the
    arguments.

    Raises:
        InputError: the policy does not fit the environment, has no threshold although a guard is wanted, or the log is
            there already.
    """
    if episodes < 1:
        raise InputError(f"--episodes is {episodes}: it must be at least 1.")
    if seed < 0:
        raise InputError(f"--seed is {seed}: it must be at least 0.")
    if log is not None and log.exists():
        raise InputError(f"{log} is there already: give another directory to --log.")
    with ExitStack() as stack:
        path = source
        if not (source / FACTS).exists() and (source / "checkpoint").exists():
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "policy"
            export_policy(source, path)
        policy = Policy(path)
        if guard and policy.threshold is None:
            raise InputError(
                f"{source} has no guard: export the run with --calibration and drive with that, or say --no-guard."
            )
        config = load_config(path / "config.yaml").env
        config = config if env is None else dataclasses.replace(config, id=env)
        if dead_man and config.id.startswith("franka:"):
            raise InputError("This arm has a dead-man key of its own (dead_man in its file): leave --dead-man out.")
        world = stack.enter_context(
            closing(make_env(config.id, observation=config.observation, action_repeat=config.action_repeat))
        )
        if observation_spaces(world) != (policy.spaces, policy.actions):
            needs = f"{policy.spaces} and {policy.actions} actions"
            raise InputError(f"The policy in {source} needs {needs}; {config.id} has others.")
        hertz = getattr(world.unwrapped, "control_hz", 0.0) if rate is None else rate
        if hertz < 0:
            raise InputError(f"--rate is {rate}: it must be 0 or more steps a second.")
        operator = stack.enter_context(closing(TerminalOperator())) if dead_man else None
        store = None
        if log is not None:
            store = stack.enter_context(EpisodeStore(log, config, policy.spaces, policy.actions))
        recorded = 0
        for i in range(episodes):
            made = ride(
                policy,
                world,
                seed + i,
                period=1 / hertz if hertz else 0.0,
                guard=guard,
                held=operator.held if operator else lambda: True,
            )
            if store is not None and made.episode is not None:
                store.add(recorded, made.episode)
                recorded += 1
            yield made
