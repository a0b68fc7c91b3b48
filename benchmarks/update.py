"""How far one gradient update is from the speed of the machine's own matrix products.

    python benchmarks/update.py                                   # preset laptop, pictures, two threads
    python benchmarks/update.py --observation vector --threads 1
    python benchmarks/update.py --preset paper --device cuda --precision bfloat16 --compile --profile

Counts the floating point operations of one update (matrix products and convolutions, backward included, with PyTorch's
FlopCounterMode; convolutions are checked against a count by hand), measures the machine's rate of large matrix products
beside every update timed, and divides: the floor is the time that the operations would take at that rate. The ratio is
the median over such pairs, which other load on the machine disturbs less than either time. With --profile: operators,
and the parts of an update each timed, with its backward pass, by itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fosp.agents import make_agent, resolve_device
from fosp.agents.base import Agent, transitions
from fosp.agents.fosp import FOSP
from fosp.config import PRESETS, Config, preset
from fosp.models.layers import ImageDecoder, ImageEncoder
from fosp.training.memory import keep_freed_memory

SPACES = {"image": (64, 64, 6), "vector": (60,)}  # SafetyPointGoal1, front and back view
ACTIONS = 2


def main() -> None:
    """Measure and print."""
    args = arguments()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the training loops do
    device = resolve_device(args.device)
    torch.set_float32_matmul_precision("high" if args.precision == "bfloat16" else "highest")
    config = settings(args.preset, args.precision, args.compile)
    spaces = {k: v for k, v in SPACES.items() if args.observation in (k, "both")}
    batch = random_batch(config, spaces, device)
    print_machine(device, args.threads)

    plain = make_agent(settings(args.preset, args.precision, compiled=False), spaces, ACTIONS, device)
    print_parameters(plain)
    operations = count_operations(plain, batch)
    agent = make_agent(config, spaces, ACTIONS, device) if args.compile else plain
    start = time.perf_counter()
    agent.update(batch)
    wait(device)
    print(f"first update        {time.perf_counter() - start:9.2f} s")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    pairs = measure_beside_products(lambda: agent.update(batch), device, args.precision, args.repeats)
    seconds, rate = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(seconds * rate / operations for seconds, rate in pairs)
    training = config.training
    print(
        f"update              {seconds * 1e3:9.1f} ms   "
        f"{args.preset}, {args.observation}, batch {training.batch_size} x {training.sequence_length}, "
        f"{args.precision}{', compiled' if args.compile else ''}\n"
        f"operations          {operations / 1e9:9.2f} GFLOP\n"
        f"matrix products     {rate / 1e9:9.1f} GFLOP/s in {args.precision}\n"
        f"floor               {operations / rate * 1e3:9.1f} ms\n"
        f"ratio               {ratio:9.2f}"
    )
    if device.type == "cuda":
        print(f"peak memory         {torch.cuda.max_memory_allocated() / 2**30:9.2f} GiB")
    if args.profile:
        profile_operators(agent, batch, device)
        if isinstance(plain, FOSP):
            profile_parts(plain, batch, rate, device, args.repeats)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="laptop", help="settings (default: laptop)")
    parser.add_argument("--observation", choices=["image", "vector", "both"], default="image")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="compile the losses (minutes)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto (default: cpu)")
    parser.add_argument("--repeats", type=int, default=20, help="updates timed; the median counts (default: 20)")
    parser.add_argument("--profile", action="store_true", help="also operators and parts")
    return parser.parse_args()


def settings(name: str, precision: Literal["float32", "bfloat16"], compiled: bool) -> Config:
    """A preset with the arithmetic asked for."""
    config = preset(name)
    return dataclasses.replace(
        config, training=dataclasses.replace(config.training, precision=precision, compile=compiled)
    )


def random_batch(config: Config, spaces: dict[str, tuple[int, ...]], device: torch.device) -> dict[str, Tensor]:
    """Sequences of the right shapes, (B, T, ...)."""
    g = torch.Generator().manual_seed(0)
    shape = (config.training.batch_size, config.training.sequence_length)
    batch = {
        "action": torch.rand(*shape, ACTIONS, generator=g) * 2 - 1,
        "reward": torch.randn(shape, generator=g),
        "cost": (torch.rand(shape, generator=g) < 0.1).float(),
        "is_first": torch.rand(shape, generator=g) < 0.01,
        "is_terminal": torch.zeros(shape, dtype=torch.bool),
    }
    for key, size in spaces.items():
        batch[key] = (
            torch.randint(0, 256, (*shape, *size), dtype=torch.uint8, generator=g)
            if key == "image"
            else torch.randn(*shape, *size, generator=g)
        )
    return {name: value.to(device) for name, value in batch.items()}


# -------------------------------------------------------------------------- counting


def count_operations(agent: Agent, batch: dict[str, Tensor]) -> float:
    """Floating point operations of one update; raises RuntimeError where the counter misses convolutions."""
    with FlopCounterMode(display=False) as counter:
        agent.update(batch)
    counts = {str(operator): n for operator, n in counter.get_flop_counts()["Global"].items()}
    if "image" in agent.spaces:
        counted = sum(n for name, n in counts.items() if "convolution" in name)
        by_hand = convolution_operations(agent, batch["image"].shape[0] * batch["image"].shape[1])
        if counted != by_hand:
            raise RuntimeError(f"{counted} operations of convolutions were counted, but there are {by_hand}.")
    return float(counter.get_total_flops())


def convolution_operations(agent: Agent, images: int) -> int:
    """Forward, and backward by weights and by inputs (not by the first layer's: pictures need no gradient)."""
    total = 0
    for module in agent.world_model.modules():
        if not isinstance(module, ImageEncoder | ImageDecoder):
            continue
        side = 64 // agent.config.world_model.patch if isinstance(module, ImageEncoder) else module.side
        for layer in module.layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                # A kernel of 4 x 4 with stride 2 joins the larger side's channels to the smaller side's, per position
                # of the smaller side.
                smaller = side // 2 if isinstance(layer, nn.Conv2d) else side
                passes = 2 if side == 64 and isinstance(layer, nn.Conv2d) else 3
                total += passes * 2 * images * smaller**2 * layer.weight.numel()
                side = side // 2 if isinstance(layer, nn.Conv2d) else side * 2
    return total


# ---------------------------------------------------------------------------- timing


def wait(device: torch.device) -> None:
    """Let the device finish."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(work: Callable[[], object], device: torch.device, repeats: int, warm_up: int = 1) -> float:
    """Median seconds of `work`; on a GPU by its own events, with nothing waiting in between."""
    for _ in range(warm_up):
        work()
    wait(device)
    if device.type == "cuda":
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
        marks[0].record()
        for mark in marks[1:]:
            work()
            mark.record()
        wait(device)
        return statistics.median(a.elapsed_time(b) / 1e3 for a, b in itertools.pairwise(marks))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_beside_products(
    work: Callable[[], object], device: torch.device, precision: str, repeats: int
) -> list[tuple[float, float]]:
    """Pairs of the seconds that `work` took and of the machine's rate of matrix products just then."""
    size = max(
        (4096, 8192) if device.type == "cuda" else (512, 1024, 2048), key=lambda n: product_rate(n, device, precision)
    )
    measure(work, device, repeats=3)
    return [
        (measure(work, device, 10 if device.type == "cuda" else 1, warm_up=0), product_rate(size, device, precision))
        for _ in range(repeats)
    ]


def product_rate(size: int, device: torch.device, precision: str) -> float:
    """Operations a second of products of two square matrices."""
    a, b = (torch.randn(size, size, device=device).to(getattr(torch, precision)) for _ in range(2))
    return 2 * size**3 / measure(partial(torch.matmul, a, b), device, 5)


# --------------------------------------------------------------------------- printing


def print_machine(device: torch.device, threads: int) -> None:
    """Where and when this was measured."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    print(f"{datetime.date.today()}  torch {torch.__version__}  Python {platform.python_version()}")
    print(f"{name}, {os.cpu_count()} cores, {threads} threads, load {os.getloadavg()[0]:.1f}")
    if device.type == "cuda":
        print(torch.cuda.get_device_name(device))


def print_parameters(agent: Agent) -> None:
    """Parameters, and how many of them an offline update trains."""

    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    parts = ", ".join(f"{name} {count(part):,}" for name, part in agent.named_children() if count(part))
    trained = sum(p.numel() for optimiser in agent.optimisers.values() for p in optimiser.parameters)
    print(f"parameters          {count(agent):,} ({parts}); trained offline {trained:,}")


def profile_operators(agent: Agent, batch: dict[str, Tensor], device: torch.device) -> None:
    """Operators by their own time, and on a GPU the number of kernels that one update launches."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        agent.update(batch)
        wait(device)
    averages = profiler.key_averages()
    by = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    rows = sorted(averages, key=lambda row: -getattr(row, by))
    total = sum(getattr(row, by) for row in rows) or 1
    print("\noperator                                      share   calls")
    for row in rows[:20]:
        print(f"{row.key[:44]:44s} {100 * getattr(row, by) / total:6.1f}% {row.count:7d}")
    if device.type == "cuda":
        launches = sum(row.count for row in averages if "LaunchKernel" in row.key)
        graphs = sum(row.count for row in averages if "GraphLaunch" in row.key)
        print(f"kernels launched    {launches}, graphs {graphs}")


def profile_parts(agent: FOSP, batch: dict[str, Tensor], rate: float, device: torch.device, repeats: int) -> None:
    """Each part of an update by itself, backward pass included."""
    print("\npart             ms   share    GFLOP   floor ms   ratio")
    rows = []
    for name, work in parts(agent, batch).items():
        with FlopCounterMode(display=False) as counter:
            work()
        seconds = measure(work, device, repeats)
        agent.zero_grad(set_to_none=True)
        rows.append((name, seconds, counter.get_total_flops()))
    total = sum(seconds for _, seconds, _ in rows)
    for name, seconds, operations in [*rows, ("sum", total, sum(row[2] for row in rows))]:
        floor = operations / rate
        ratio = f"{seconds / floor:7.1f}" if floor else "      -"
        print(
            f"{name:13s} {seconds * 1e3:6.1f} {100 * seconds / total:6.1f}% "
            f"{operations / 1e9:8.2f} {floor * 1e3:10.1f} {ratio}"
        )


def parts(agent: FOSP, batch: dict[str, Tensor]) -> dict[str, Callable[[], object]]:
    """What an update does, cut where one part hands over to the next."""
    model, horizon = agent.world_model, agent.config.behaviour.horizon
    shape = batch["reward"].shape
    noise = agent.noise(*model.rssm.noise_shape(*shape))
    with torch.no_grad(), agent.arithmetic():
        targets = model.targets(batch)
        embedding = model.encode(targets).float()
        states = model.rssm.observe(embedding, batch["action"], batch["is_first"], noise)[0]
    features, data = states.features, transitions(states.features, batch)
    rows = shape[0] * shape[1]
    actor_noise = agent.noise(horizon, rows, agent.actions)
    latent_noise = agent.noise(*model.rssm.noise_shape(horizon, rows))
    penalty_noise = agent.noise(*shape, agent.actions)
    with agent.arithmetic():
        dream = agent.imagine(batch, states, actor_noise, latent_noise)

    def backward(outputs: Callable[[], Tensor]) -> Callable[[], None]:
        def work() -> None:
            with agent.arithmetic():
                result = outputs()
            result.float().sum().backward()

        return work

    def with_gradient(x: Tensor) -> Tensor:
        return x.detach().requires_grad_()

    def observe() -> Tensor:
        after, posterior, prior = model.rssm.observe(
            with_gradient(embedding), batch["action"], batch["is_first"], noise
        )
        return after.features.sum() + posterior.sum() + prior.sum()

    def decode() -> Tensor:
        s, error = with_gradient(features), torch.zeros((), device=agent.device)
        if model.image_decoder is not None:
            difference = model.image_decoder(s.flatten(0, 1)) - targets["image"].flatten(0, 1)
            error = error + torch.linalg.vector_norm(difference).square()
        if model.vector_decoder is not None:
            error = error + (model.vector_decoder(s).float() - targets["vector"]).square().sum()
        return error

    def heads() -> Tensor:
        s = with_gradient(features)
        loss = model.reward_head(s).loss(batch["reward"]).sum() + model.cost_head(s).loss(batch["cost"]).sum()
        return loss + model.continue_head(s).float().sum()

    def critics() -> Tensor:
        losses = []
        for critic, real, imagined in (
            (agent.reward_critic, data.reward, dream.reward),
            (agent.cost_critic, data.cost, dream.cost),
        ):
            value, q, _ = agent.critic_loss(critic, data, dream, real, imagined, penalty_noise)
            losses += [value, q]
        return torch.stack(losses).sum()

    def imagination() -> None:
        with agent.arithmetic():
            agent.imagine(batch, states, actor_noise, latent_noise)

    def optimisers() -> None:
        for optimiser in agent.optimisers.values():
            for parameter in optimiser.parameters:
                parameter.grad = zeros[parameter]
            optimiser.step()

    zeros = {p: torch.zeros_like(p) for optimiser in agent.optimisers.values() for p in optimiser.parameters}
    return {
        "encoder": backward(lambda: model.encode(model.targets(batch))),
        "rssm": backward(observe),
        "decoder": backward(decode),
        "heads": backward(heads),
        "imagination": imagination,
        "critics": backward(critics),
        "actor": backward(lambda: agent.offline_actor_loss(data, penalty_noise)[0]),
        "reachability": backward(lambda: agent.reachability_loss(data, dream)[0]),
        "optimiser": optimisers,
    }


if __name__ == "__main__":
    main()
