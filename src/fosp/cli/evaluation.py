"""Looking at agents: evaluate, diagnose, report, play."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from fosp.cli.settings import From

FPS = 25


def evaluate(
    *,
    from_: From,
    env: str | None = None,
    episodes: int = 20,
    mode: Literal["mean", "sample"] = "mean",
    policy: str | None = None,
    environments: int = 1,
    seed: int | None = None,
    video: bool = False,
    device: str = "auto",
) -> None:
    """Measure reward and cost on fixed seeds and add them to the run's evaluations.

    Args:
        from_: Run directory.
        env: Environment id (default: the run's own).
        episodes: How many episodes.
        mode: Whether the agent takes its mean action or draws one.
        policy: A scripted behaviour to evaluate in the agent's place, as a yardstick.
        environments: Environments stepping together.
        seed: Seed of the first episode (default: 1000000, which no dataset uses).
        video: Keep a film of the first episode for the report.
        device: auto, cpu or cuda.
    """
    from fosp.cli.clips import replay_film
    from fosp.cli.tables import print_results
    from fosp.report.results import final_results
    from fosp.report.runs import load_run
    from fosp.training.artifacts import save_film
    from fosp.training.progress import make_progress
    from fosp.training.trained import env_of, measure_agent, measure_behaviour

    if policy:
        measure_behaviour(policy, from_, episodes, make_progress(), env=env, seed=seed)
    else:
        result = measure_agent(
            from_, episodes, make_progress(), env=env, mode=mode, seed=seed, environments=environments, device=device
        )
        if video:
            save_film(from_, result.rollouts[0], replay_film(env_of(from_, env), result.rollouts[0].episode))
    print_results(final_results([load_run(from_)]))


def diagnose(*, from_: From, dataset: Path, episodes: int = 30, ahead: int = 10, device: str = "auto") -> None:
    """Compare what an agent sees and foresees with recorded episodes, best ones that it was not trained on.

    Start here when a policy is not safe: no policy avoids what its model does not see. The last line is what an episode
    of the policy's own would cost, by its model.

    Args:
        from_: Run directory.
        dataset: Dataset directory.
        episodes: How many of its episodes, spread evenly over it.
        ahead: Steps that are imagined along the recorded actions.
        device: auto, cpu or cuda.
    """
    from fosp.cli.tables import print_findings
    from fosp.training.diagnosis import diagnose_run
    from fosp.training.progress import make_progress

    print_findings(diagnose_run(from_, dataset, episodes, ahead, make_progress(), device))


def report(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    dataset: tuple[Path, ...] = (),
    out: Path | None = None,
) -> None:
    """Write one HTML page from run directories: results, curves, data, predictions, an episode.

    Args:
        runs: Run directories, in the order of training.
        dataset: Dataset directories to show (default: those noted in the runs).
        out: File to write (default: report.html in the last run directory).
    """
    from fosp.errors import InputError
    from fosp.report.page import write_report
    from fosp.report.runs import summarise_datasets

    if not runs:
        raise InputError("fosp report needs at least one run directory.")
    summary = summarise_datasets(dataset) if dataset else None
    print(write_report(runs, out or runs[-1] / "report.html", dataset=summary))


def play(*, policy: str = "safe", env: str | None = None, out: Path, seed: int = 0, device: str = "auto") -> None:
    """Play one episode and write it as a video: the world from outside, what the robot sees, reward and cost so far.

    Args:
        policy: A scripted behaviour (safe, reactive, unsafe, random; teleoperator in SafeReach), or a run directory.
        env: Environment id (default: the run's own, or SafetyPointGoal1-v0).
        out: Video file to write, .mp4 or .gif.
        seed: Seed of the episode.
        device: auto, cpu or cuda.
    """
    from fosp.cli.clips import check_format, replay_film, write_clip
    from fosp.cli.recording import record_one

    check_format(out)
    config, episode = record_one(policy, env, seed, device)
    write_clip(replay_film(config, episode), out, FPS)
    print(f"{out}: {len(episode)} steps, return {episode.total_reward:.2f}, cost {episode.total_cost:.0f}")
