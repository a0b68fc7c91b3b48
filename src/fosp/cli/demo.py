"""The whole path on a small budget: what `make demo` shows."""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fosp.config import Config, preset

PRESET = "laptop"
ENVIRONMENT = "SafetyPointGoal1-v0"
BEHAVIOURS = ("safe", "unsafe", "random")
EPISODES = 180
"""Episodes of the dataset, a third from each behaviour."""
EVALUATION_EPISODES = 10
"""Episodes in each row of the final table."""
WORKERS = 2
"""Processes that collect and evaluate."""
MODEL_UPDATES = 3_000
"""Gradient updates of the world model on which both agents learn."""
UPDATES = {"bc": 500, "fosp": 2_000}
"""Those of each agent on it."""
TRAINING: dict[str, Any] = {
    "batch_size": 8,
    "online_frames": 10_000,
    "train_ratio": 32.0,
    "evaluate_every": 500,
    "evaluate_at": (0,),
    "evaluation_episodes": 2,
    "log_every": 10,
    "checkpoint_every": 100,
    "replay_steps": 60_000,
}
"""What differs from the preset."""
BEHAVIOUR: dict[str, Any] = {"penalty": 0.3}
"""The multiplier gets as far in a third of the updates."""


def demo(
    *,
    out: Path = Path("demo"),
    observation: Literal["vector", "image"] = "vector",
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Collect, pretrain, fine-tune, evaluate, report: the whole path on SafetyPointGoal1.

    Takes about a quarter of an hour on two cores. Stopped at any moment, the same command goes on where it was.

    Args:
        out: Directory for the dataset, the runs and the report.
        observation: What the robot sees: vector (sensors and lidar), or image (two cameras), which takes twice the time
            and needs more of it than that to drive well.
        seed: Seed of everything random.
        device: auto, cpu or cuda.
    """
    from fosp.cli.tables import print_results
    from fosp.report.page import write_report
    from fosp.report.results import final_results
    from fosp.report.runs import load_run

    begin = time.monotonic()
    bc, offline, online = runs = [out / name for name in ("bc", "offline", "online")]
    say(f"1. Collect {EPISODES} episodes of {ENVIRONMENT}: {', '.join(BEHAVIOURS)} in turn, observation {observation}.")
    gather(out / "dataset", observation, seed)
    say(
        f"2. Offline: {MODEL_UPDATES} updates of a world model, and on it {UPDATES['bc']} of behaviour cloning, the "
        "yardstick."
    )
    base = settings(observation, seed, device)
    learn(with_budget(base, "bc"), out / "dataset", bc)
    say(f"3. Offline: {UPDATES['fosp']} updates of FOSP on the same world model.")
    fosp = with_budget(base, "fosp", world_model=bc)
    learn(fosp, out / "dataset", offline)
    say(f"4. Online: {TRAINING['online_frames']} frames of fine-tuning.")
    adapt(fosp, offline, online)
    say(f"5. Evaluate: {EVALUATION_EPISODES} episodes each, on seeds that no training has seen.")
    judge(runs, device)
    page = write_report(runs, out / "report.html")
    print()
    print_results(final_results([load_run(run) for run in runs]))
    print(f"\nReport: {page}")
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes, at most {peak_gib():.1f} GiB of memory in one process.")


def settings(observation: Literal["vector", "image"], seed: int, device: str) -> Config:
    """The preset in the demo's environment."""
    base = preset(PRESET)
    env = dataclasses.replace(base.env, id=ENVIRONMENT, observation=observation)
    behaviour = dataclasses.replace(base.behaviour, **BEHAVIOUR)
    return dataclasses.replace(base, seed=seed, device=device, env=env, behaviour=behaviour)


def with_budget(base: Config, agent: str, world_model: Path | None = None) -> Config:
    """An agent on the demo's budget, on the world model of another run if there is one."""
    budget = TRAINING | {
        "world_model": str(world_model or ""),
        "model_updates": MODEL_UPDATES,
        "offline_updates": UPDATES[agent],
    }
    training = dataclasses.replace(base.training, **budget)
    return dataclasses.replace(base, agent=agent, training=training)


def gather(path: Path, observation: Literal["vector", "image"], seed: int) -> None:
    """Episodes of the scripted behaviours; those already there stay."""
    from fosp.data import collect
    from fosp.training.progress import make_progress

    progress = make_progress()
    progress.start(EPISODES, "collect")
    try:
        collect(
            ENVIRONMENT,
            BEHAVIOURS,
            EPISODES,
            path,
            seed=seed,
            workers=WORKERS,
            observation=observation,
            on_episode=lambda done, summary: progress.update(return_=summary.total_reward, cost=summary.total_cost),
        )
    finally:
        progress.close()


def learn(config: Config, dataset: Path, run: Path) -> None:
    """Train offline, as far as that has not been done."""
    from fosp.experiments.runs import complete, learn_offline
    from fosp.training.progress import make_progress

    complete(run, config, lambda resume: learn_offline(config, [dataset], run, make_progress(), resume))


def adapt(config: Config, source: Path, run: Path) -> None:
    """Fine-tune, as far as that has not been done."""
    from fosp.experiments.runs import complete, learn_online
    from fosp.training.progress import make_progress

    complete(run, config, lambda resume: learn_online(config, source, run, make_progress(), resume))


def judge(runs: Sequence[Path], device: str) -> None:
    """Evaluate the scripted behaviours and every run's agent, as far as that has not been done."""
    from fosp.cli.clips import replay_film
    from fosp.report.runs import load_run
    from fosp.training.artifacts import save_film
    from fosp.training.evaluation import behaviour_label
    from fosp.training.progress import make_progress
    from fosp.training.trained import measure_agent, measure_behaviour

    def missing(run: Path, agent: str) -> bool:
        found = (item for item in load_run(run).evaluations if item.agent == agent)
        return not any(len(item.returns) == EVALUATION_EPISODES for item in found)

    for behaviour in BEHAVIOURS:
        if missing(runs[0], behaviour_label(behaviour)):
            measure_behaviour(behaviour, runs[0], EVALUATION_EPISODES, make_progress())
    for run in runs:
        config = load_run(run).config
        if missing(run, config.agent):
            result = measure_agent(run, EVALUATION_EPISODES, make_progress(), environments=WORKERS, device=device)
            if run == runs[-1]:
                save_film(run, result.rollouts[0], replay_film(config.env, result.rollouts[0].episode))


def say(text: str) -> None:
    """A headline between progress bars."""
    print(f"\n{text}", flush=True)


def peak_gib() -> float:
    """Largest resident memory of this process or of one that it started, GiB."""
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return largest * (1 if sys.platform == "darwin" else 1024) / 2**30
