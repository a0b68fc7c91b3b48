"""Several processes that train one run: each sees its own sequences, gradients are averaged, one process writes.

`torchrun --nproc-per-node N -m -- fosp pretrain ...` starts N of them (gloo between CPUs, NCCL between GPUs). In a
process of its own every function here returns what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fosp.errors import InputError

_PATIENCE = timedelta(hours=12)  # all others wait while one evaluates


def launched() -> int:
    """Processes that torchrun started together with this one, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


@contextmanager
def joined() -> Iterator[None]:
    """Within the block the processes that torchrun started know each other."""
    if launched() == 1:
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", 0))


def is_main() -> bool:
    """Whether this is the process that evaluates, writes and speaks."""
    return rank() == 0


def local_device(device: torch.device) -> torch.device:
    """This process's own GPU where `device` is one, else `device`; raises `InputError` where there are too few."""
    if count() == 1 or device.type != "cuda":
        return device
    number, gpus = int(os.environ.get("LOCAL_RANK", rank())), torch.cuda.device_count()
    if number >= gpus:
        raise InputError(f"There are more processes than GPUs here: start at most {gpus} (--nproc-per-node).")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def share_of(batch_size: int) -> int:
    """This process's share of a batch; raises `InputError` where it cannot be divided evenly."""
    if batch_size % count():
        raise InputError(
            f"Setting training.batch_size is {batch_size}, which {count()} processes cannot share evenly: choose a "
            f"multiple of {count()}, or another --nproc-per-node."
        )
    return batch_size // count()


def average(x: Tensor) -> Tensor:
    """Mean over processes, (...)."""
    return x if count() == 1 else _average(x)


@torch.compiler.disable
def _average(x: Tensor) -> Tensor:
    result = x.detach().clone()
    dist.all_reduce(result)
    return result / count()


def gather(x: Tensor) -> Tensor:
    """The values of all processes, flattened: (...) -> (count * n,)."""
    return x.flatten() if count() == 1 else _gather(x)


@torch.compiler.disable
def _gather(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(count())]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.cat([part.flatten() for part in parts])


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over processes, in one exchange."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if count() == 1 or not gradients:
        return
    mean = average(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def any_of(flag: bool) -> bool:
    """Whether `flag` is true in some process; all processes meet here."""
    if count() == 1:
        return flag
    result = torch.tensor(int(flag))
    dist.all_reduce(result, dist.ReduceOp.MAX)
    return bool(result)


def collect(value: Any) -> list[Any]:
    """Every process's `value` (anything that can be pickled), by rank."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values
