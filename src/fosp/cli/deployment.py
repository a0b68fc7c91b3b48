"""From a run to a robot: export."""

from __future__ import annotations

import math
from pathlib import Path

from fosp.cli.settings import From


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
