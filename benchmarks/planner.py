"""Actions per second of SafeDreamer's planner, an observation's filtering included.

    python benchmarks/planner.py                    # preset laptop, pictures, two threads
    python benchmarks/planner.py --threads 1 --rows 4
    python benchmarks/planner.py --device cuda --compile

Weights are random: the time does not depend on them. Sizes are the paper's: 500 plans of 15 steps, 6 iterations.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import time

import torch

from fosp.agents import make_agent, resolve_device
from fosp.config import PRESETS, change, preset

SPACES = {"image": (64, 64, 6)}  # SafetyPointGoal1, front and back view
ACTIONS = 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="laptop")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1, help="environments planned for at once")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="compile a step of the plans")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = resolve_device(args.device)
    agent = make_agent(
        change(
            preset(args.preset),
            {"agent": "safe_dreamer", "safe_dreamer.variant": "osrp_lag", "training.compile": args.compile},
        ),
        SPACES,
        ACTIONS,
        device,
    )
    generator = torch.Generator(device).manual_seed(0)
    observation = {
        "image": torch.randint(0, 256, (args.rows, 64, 64, 6), dtype=torch.uint8),
        "is_first": torch.zeros(args.rows, dtype=torch.bool),
    }
    state, seconds = agent.initial_state(args.rows), []
    for repeat in range(args.repeats + 2):
        start = time.perf_counter()
        action, state, _ = agent.act(observation, state, "mean", generator)
        action.cpu()
        if repeat >= 2:
            seconds.append(time.perf_counter() - start)
    c, median = agent.config.safe_dreamer, statistics.median(seconds)
    print(f"{platform.processor() or platform.machine()}, {device}, {args.threads} threads, {datetime.date.today()}")
    print(f"preset {args.preset}: {c.plan_samples} plans of {c.plan_horizon} steps, {c.plan_iterations} iterations")
    print(f"{median * 1000:.0f} ms for {args.rows} actions: {args.rows / median:.2f} actions/s")


if __name__ == "__main__":
    main()
