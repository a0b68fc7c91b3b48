"""One gradient update against the machine's own arithmetic.

    python benchmarks/update.py --preset laptop --threads 2
    python benchmarks/update.py --preset paper --device cuda --precision bfloat16 --compile

Counts the floating-point operations of an update (PyTorch's flop counter: matrix products and convolutions, forward and
backward), measures the rate of large float32 matrix products in the same run, and prints the time of an update beside
the time that its operations would take at that rate (the floor).
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from fosp.agents import make_agent, resolve_device
from fosp.agents.base import Agent
from fosp.config import PRESETS, preset

SPACES = {"image": {"image": (64, 64, 6)}, "vector": {"vector": (60,)}, "both": {"image": (64, 64, 6), "vector": (60,)}}
ACTIONS = 2


def random_batch(agent: Agent) -> dict[str, torch.Tensor]:
    """A batch of the settings' size in model alignment, full of noise: the time does not depend on the values."""
    training, generator = agent.config.training, torch.Generator().manual_seed(0)
    rows = (training.batch_size, training.sequence_length)
    batch = {
        "action": torch.rand(*rows, ACTIONS, generator=generator) * 2 - 1,
        "reward": torch.randn(*rows, generator=generator) * 0.1,
        "cost": (torch.rand(*rows, generator=generator) < 0.1).float(),
        "is_first": torch.rand(*rows, generator=generator) < 0.02,
        "is_terminal": torch.zeros(*rows, dtype=torch.bool),
    }
    for name, shape in agent.spaces.items():
        if name == "image":
            batch[name] = torch.randint(0, 256, (*rows, *shape), dtype=torch.uint8, generator=generator)
        else:
            batch[name] = torch.randn(*rows, *shape, generator=generator)
    return {name: value.to(agent.device) for name, value in batch.items()}


def seconds(call: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Wall-clock time of each of `repeats` calls, the device's work included."""
    times = []
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return times


def matrix_rate(device: torch.device) -> float:
    """Best float32 rate of large square matrix products, operations per second."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    return 2 * size**3 / min(seconds(lambda: a @ b, device, 12)[2:])


def operations(agent: Agent, batch: dict[str, torch.Tensor]) -> int:
    """Floating-point operations of one update."""
    with FlopCounterMode(display=False) as counter:
        agent.update(batch)
    return counter.get_total_flops()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop", choices=list(PRESETS))
    parser.add_argument("--agent", default="fosp")
    parser.add_argument("--observation", default="image", choices=list(SPACES))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: PyTorch's choice)")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="also print the operators that take longest")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    base = preset(arguments.preset)

    def build(compiled: bool) -> Agent:
        training = dataclasses.replace(base.training, precision=arguments.precision, compile=compiled)
        config = dataclasses.replace(base, agent=arguments.agent, training=training)
        return make_agent(config, SPACES[arguments.observation], ACTIONS, device)

    agent = build(False)
    batch = random_batch(agent)
    flops = operations(agent, batch)
    if arguments.compile:
        agent = build(True)
    for _ in range(3):
        agent.update(batch)
    before = matrix_rate(device)
    times = seconds(lambda: agent.update(batch), device, arguments.updates)
    rate = max(before, matrix_rate(device))
    floor, best, median = flops / rate, min(times), statistics.median(times)
    parameters = {
        "world model": sum(p.numel() for p in agent.world_model.parameters()),
        "all": sum(p.numel() for p in agent.parameters()),
    }
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{datetime.date.today()}  {name}, {platform.machine()}, torch {torch.__version__}")
    training = base.training
    print(
        f"preset {arguments.preset}, agent {arguments.agent}, {arguments.observation}, batch "
        f"{training.batch_size} x {training.sequence_length}, {arguments.precision}"
        f"{', compiled' if arguments.compile else ''}; "
        + ", ".join(f"{count / 1e6:.2f}M parameters ({what})" for what, count in parameters.items())
    )
    print(f"operations an update   {flops / 1e9:9.2f} GFLOP")
    print(f"float32 matrix rate    {rate / 1e9:9.2f} GFLOP/s")
    print(f"floor                  {1e3 * floor:9.1f} ms")
    print(f"update, best           {1e3 * best:9.1f} ms   {best / floor:5.2f} x floor")
    print(f"update, median         {1e3 * median:9.1f} ms   {median / floor:5.2f} x floor")
    if device.type == "cuda":
        print(f"peak memory            {torch.cuda.max_memory_allocated() / 2**30:9.2f} GiB")
    if arguments.profile:
        kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
        with profile(activities=kinds) as trace:
            agent.update(batch)
        key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
        print(trace.key_averages().table(sort_by=key, row_limit=20, max_name_column_width=40))


if __name__ == "__main__":
    main()
