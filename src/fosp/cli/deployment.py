"""From a run to a robot: export, run-robot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from fosp.cli.settings import From
from fosp.errors import InputError


def export(
    *,
    from_: From,
    out: Path,
    speed: float = 1.0,
    calibration: Path | None = None,
    false_alarms: float = 0.1,
) -> None:
    """Write the policy of a run as a graph of one step, which runs with torch and nothing else.

    With --calibration the policy gets a guard: an alarm when the estimated probability of a violation exceeds a
    threshold, set on episodes that the agent has not seen.

    Args:
        from_: Run directory.
        out: Directory to make.
        speed: Largest magnitude of each action, up to 1.
        calibration: Dataset of held-out episodes for the guard's threshold.
        false_alarms: Share of episodes without a violation in which the guard may stop.
    """
    from fosp.deploy.export import export_policy

    made = export_policy(from_, out, speed=speed, calibration=calibration, false_alarms=false_alarms)
    print(f"Exported: {out}, equal to the agent within {made.difference:.1e}, {made.milliseconds:.1f} ms a step.")
    if (guard := made.guard) is not None:
        print(
            f"Guard: threshold {guard.threshold:.3f} from {guard.safe} episodes without a violation (at most "
            f"{guard.alpha:.0%} of such stopped)."
        )
        if guard.violating:
            lead = "" if math.isnan(guard.lead) else f", {guard.lead:.0f} steps ahead in the median"
            print(f"Of {guard.violating} episodes with one it foresees {guard.caught:.0%}{lead}.")
    else:
        print("It has no guard: give held-out episodes with --calibration to let it stop before a violation.")


def run_robot(
    *,
    from_: From,
    backend: Literal["simulation", "franka", "lerobot"] = "simulation",
    robot: Path | None = None,
    env: str | None = None,
    episodes: int = 1,
    rate: float | None = None,
    guard: bool = True,
    dead_man: bool = False,
    log: Path | None = None,
    seed: int = 0,
) -> None:
    """Let a policy act at a fixed rate, under a guard, and record what happens.

    The guard stops the arm when the estimated probability of a violation exceeds the policy's threshold.

    Args:
        from_: Directory of an exported policy, or a run directory (which has no guard).
        backend: What moves: the simulated environment, a Franka arm, or a robot of LeRobot's.
        robot: File that describes the robot (backends franka and lerobot; see the page on deployment).
        env: Environment id (backend simulation; default: the one that the policy was trained in).
        episodes: How many episodes.
        rate: Steps a second; 0: as fast as it goes (default: the arm's own rate, else 0).
        guard: An alarm stops the arm; --no-guard switches that off.
        dead_man: Go on only while a key is held down.
        log: Dataset to make of the episodes, for fine-tuning or for a look.
        seed: Reset seed of the first episode.
    """
    from fosp.deploy.drive import drive

    if (robot is None) != (backend == "simulation"):
        raise InputError(f"--backend {backend} {'needs' if robot is None else 'takes no'} --robot: a robot has a file.")
    if robot is not None:
        if env is not None:
            raise InputError("--env names a simulated environment: leave it out with --robot.")
        env = f"{backend}:{robot}"
    rides = drive(from_, env=env, episodes=episodes, rate=rate, guard=guard, dead_man=dead_man, log=log, seed=seed)
    for number, r in enumerate(rides):
        sums = f"reward {r.episode.total_reward:.1f}, cost {r.episode.total_cost:.1f}" if r.episode else "nothing done"
        print(
            f"Episode {number}: {r.ended} after {r.steps} steps, {sums}; highest estimate {r.violation:.3f}; "
            f"{r.late} late, slowest decision {1000 * r.slowest:.1f} ms. {r.why}".rstrip()
        )
    if log is not None:
        print(f"Recorded: {log}.")
