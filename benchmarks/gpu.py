"""What one gradient update takes on a GPU, as it is, captured as a CUDA graph, and compiled, in three arithmetics.

    python benchmarks/gpu.py                      # preset paper, pictures, batch 64 x 16
    python benchmarks/gpu.py --batch 16 --length 64 --ways captured

Milliseconds are medians by the GPU's own events. The floor is the time that the update's floating point operations
would take at the rate of large matrix products in the same arithmetic, measured beside it. In bfloat16 there are also
the kernels that take longest, how often any is launched (not those inside a graph, which is launched as one), and the
share of an update in which any of them ran.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from fosp.agents import make_agent
from fosp.config import Config, change, preset
from fosp.training.capture import captured
from update import (
    ACTIONS,
    SPACES,
    count_operations,
    measure,
    print_machine,
    print_parameters,
    product_rate,
    random_batch,
)

GPU = torch.device("cuda")
ARITHMETIC = {"float32": "highest", "tf32": "high", "bfloat16": "high"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--agent", default="fosp")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--ways", nargs="+", choices=["eager", "captured", "compiled"], default=["eager", "captured"])
    parser.add_argument("--arithmetic", nargs="+", choices=list(ARITHMETIC), default=list(ARITHMETIC))
    args = parser.parse_args()
    sizes = {"training.batch_size": args.batch, "training.sequence_length": args.length, "agent": args.agent}
    config = change(preset(args.preset), sizes)
    print_machine(GPU, torch.get_num_threads())
    batch = random_batch(config, {"image": SPACES["image"]}, GPU)
    plain = make_agent(config, {"image": SPACES["image"]}, ACTIONS, GPU)
    print_parameters(plain)
    operations = count_operations(plain, batch)
    print(f"batch {args.batch} x {args.length}, {operations / 1e12:.2f} TFLOP an update")
    del plain
    print("\narithmetic  way         ms   first s   GiB   floor ms   times floor", flush=True)
    for name, way in itertools.product(args.arithmetic, args.ways):
        torch.set_float32_matmul_precision(ARITHMETIC[name])
        precision = cast(Literal["float32", "bfloat16"], "bfloat16" if name == "bfloat16" else "float32")
        rate = product_rate(8192, GPU, precision)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        update = make_update(config, precision, way, batch)
        torch.cuda.synchronize()
        first = time.perf_counter() - start
        seconds = measure(update, GPU, 10)
        floor = operations / rate
        print(
            f"{name:10s}  {way:8s} {seconds * 1e3:6.1f} {first:9.1f} {torch.cuda.max_memory_allocated() / 2**30:5.1f} "
            f"{floor * 1e3:10.1f} {seconds / floor:13.1f}",
            flush=True,
        )
        if name == "bfloat16":
            print_kernels(update, seconds)
        del update


def make_update(
    config: Config, precision: Literal["float32", "bfloat16"], way: str, batch: dict[str, Tensor]
) -> Callable[[], object]:
    """An agent's update on the batch, after all that happens once."""
    training = dataclasses.replace(
        config.training, precision=precision, compile=way == "compiled", capture=way != "eager"
    )
    agent = make_agent(dataclasses.replace(config, training=training), {"image": SPACES["image"]}, ACTIONS, GPU)
    update = captured(agent, agent.update)
    for _ in range(5):
        update(batch)
    return lambda: update(batch)


def print_kernels(update: Callable[[], object], seconds: float) -> None:
    """How many kernels an update launches, and how long they ran."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        update()
        torch.cuda.synchronize()
    averages = profiler.key_averages()
    launches = sum(row.count for row in averages if "LaunchKernel" in row.key)
    # Not the operators, to which the time of the kernels that they launch is attributed once more.
    kernels = [row for row in averages if row.device_type == DeviceType.CUDA]
    busy = sum(row.self_device_time_total for row in kernels) / 1e6
    print(
        f"            {launches} launches; kernels run for {busy * 1e3:.1f} ms, "
        f"{100 * busy / seconds:.0f} % of the time"
    )
    for row in sorted(kernels, key=lambda row: -row.self_device_time_total)[:12]:
        print(f"            {row.self_device_time_total / 1e3:6.2f} ms  {row.count:5d}  {row.key[:80]}")


if __name__ == "__main__":
    main()
