"""How long the experiments take on this machine: measured parts, times how often each stage needs them.

    python benchmarks/experiments.py --scale laptop --cores 2

Measures, with one thread, an update of each agent and observation, an episode of an agent, and an episode of a dataset:
processor time, so that other work on the machine does not count. Of C cores each does a stage of its own.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np
import torch

from fosp.agents import make_agent
from fosp.config import Config, change
from fosp.data.collect import CollectTask
from fosp.data.replay import Replay
from fosp.experiments.grids import GRIDS, SCALES
from fosp.experiments.plan import budget, expand
from fosp.experiments.stages import Collect, Evaluated, Online, Pretrain, Stage, WorldModel
from fosp.report.machine import describe_machine
from fosp.training.evaluation import evaluate
from fosp.training.offline import prepare

ENV = "SafetyPointGoal1-v0"
BEHAVIOURS = ("safe", "unsafe", "random")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=list(SCALES), default="laptop", help="budgets (default: laptop)")
    parser.add_argument("--cores", type=int, default=2, help="stages at a time (default: 2)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe_machine()
    print(f"{machine['processor']}; torch {machine['torch']}; scale {args.scale}, one seed")
    settings = change(budget(args.scale), {"env.id": ENV, "device": "cpu"})
    print(f"recording an episode: {recording():.2f} s")
    for agent in ("fosp", "bc"):
        for observation in ("image", "vector"):
            config = change(settings, {"agent": agent, "env.observation": observation})
            model, fixed, offline, online, episode = parts(config)
            times = (
                f"update of the model {model:.3f} s, on a fixed one {fixed:.3f} s, offline {offline:.3f} s, "
                f"online {online:.3f} s, episode {episode:.2f} s"
            )
            print(f"{agent}, {observation}: {times}")
    print(f"\n{'experiment':<18}{'core hours':>11}{f'hours on {args.cores}':>13}")
    for grid in GRIDS.values():
        hours = sum(seconds(stage, settings) for stage in expand([grid], args.scale, seeds=(0,))) / 3600
        print(f"{grid.name:<18}{hours:>11.1f}{hours / args.cores:>13.1f}")


def seconds(stage: Stage, settings: Config) -> float:
    """Processor time of one stage, as if its task were SafetyPointGoal1."""
    if isinstance(stage, Collect):
        return stage.episodes * recording()
    if not isinstance(stage, WorldModel | Evaluated):
        return 0.0
    training, env = stage.config.training, stage.config.env
    model, fixed, offline, online, episode = parts(
        change(settings, {"agent": stage.config.agent, "env.observation": env.observation})
    )
    if isinstance(stage, WorldModel):
        return stage.updates * model
    if isinstance(stage, Pretrain) and len(stage.after) > 1:
        offline = fixed
    if isinstance(stage, Online):
        evaluations, played = len(training.evaluate_at) + 1, training.online_frames / env.time_limit
    else:
        evaluations, played = training.offline_updates // training.evaluate_every, 0.0
    episodes = played + evaluations * training.evaluation_episodes + stage.episodes
    return stage.updates * (online if isinstance(stage, Online) else offline) + episodes * episode


@functools.cache
def recording() -> float:
    """Seconds of recording an episode, with pictures and vectors."""
    task = CollectTask(ENV, BEHAVIOURS, 0, "both", 4)
    with closing(task.make_env()) as env:
        numbers = iter(range(4))
        return timed(lambda: task.play(env, next(numbers)), 3)


@functools.cache
def parts(config: Config) -> tuple[float, float, float, float, float]:
    """Seconds of an update of the world model alone, of the behaviour alone, of both offline, of both online, and of an
    episode."""
    prepare(config)
    replay = recorded(config.env.observation)
    agent = make_agent(config, replay.spec, replay.action_size)
    agent.see_bounds(replay.reward_max, replay.cost_max)
    training, sampler = config.training, np.random.default_rng(0)

    def update() -> None:
        agent.update(replay.sample(training.batch_size, training.sequence_length, sampler))

    model = timed(lambda: agent.update_model(replay.sample(training.batch_size, training.sequence_length, sampler)), 8)
    agent.model_fixed = True
    fixed = timed(update, 8)
    agent.model_fixed = False
    offline = timed(update, 8)
    agent.start_online()
    return model, fixed, offline, timed(update, 8), timed(lambda: evaluate(agent, config.env, 1), 1)


@functools.cache
def recorded(observation: str) -> Replay:
    """Three episodes."""
    task = CollectTask(ENV, BEHAVIOURS, 0, observation, 4)
    with closing(task.make_env()) as env:
        episodes = [task.play(env, number) for number in range(3)]
    replay = Replay(1_000, episodes[0].spec, episodes[0].action_size)
    for episode in episodes:
        replay.add(episode)
    return replay


def timed(work: Callable[[], object], repeats: int) -> float:
    """Processor time of `work`, the mean over `repeats` after one that does not count."""
    work()
    begin = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - begin) / repeats


if __name__ == "__main__":
    main()
