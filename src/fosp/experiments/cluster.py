"""Doing stages on Ray: on this machine, or on a cluster by its address.

Ray decides what runs when: a stage is a task that takes the stages it needs as arguments. A task whose worker dies is
started again, and the stage goes on from its run's checkpoint.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from fosp.errors import InputError
from fosp.experiments.stages import Stage, Training
from fosp.training.alone import alone_in
from fosp.training.interrupts import Interrupted
from fosp.training.progress import LineProgress, Progress

RETRIES = 5
"""How often a stage is started again after its worker died."""
_LOOK = 10.0  # seconds between looks at how far the stages are
_GRACE = 120.0  # seconds that runs have for saving after Ctrl-C
_TOKEN = Path.home() / ".ray" / "auth_token"  # where Ray keeps it
_OBJECTS = 100 << 20  # bytes of Ray's object store on this machine; stages exchange files, not objects


def do_all(
    stages: Sequence[Stage],
    root: Path,
    progress: Progress,
    *,
    address: str | None = None,
    cpus: float = 1.0,
    gpus: float | None = None,
) -> dict[str, str]:
    """Do what is not done of `stages`, each after those that it needs.

    Args:
        stages: in an order in which each follows its needs.
        root: directory of the experiments, which every machine of the cluster must see under this path.
        progress: told of every finished stage.
        address: of a running Ray cluster; by default Ray is started on this machine and stopped at the end.
        cpus: share of CPUs of one stage, which is also its number of threads.
        gpus: share of GPUs of one training (default: a whole one if there is any).

    Returns:
        The stages that failed and why; what needed them was not begun.

    Raises:
        InputError: Ray is missing, or has too little for one stage, or other stages are being done in `root`.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the runs under way have saved.
    """
    todo = [stage for stage in stages if stage.share_done(root) < 1]
    progress.start(len(stages), "stages", len(stages) - len(todo))
    if not todo:
        return {}
    root.mkdir(parents=True, exist_ok=True)
    busy = f"experiments are already running in {root}: wait for them, or name several in one command."
    with alone_in(root, busy), _ray(address) as ray, _stopped_by_sigterm():
        share = _gpu_share(ray.cluster_resources(), cpus, gpus, address is None)
        return _follow(ray, _submit(ray, todo, root, cpus, share), todo, root, progress)


def _gpu_share(there: Mapping[str, float], cpus: float, gpus: float | None, local: bool) -> float:
    """GPUs of one training; raises `InputError` where this machine has too little (a cluster may grow)."""
    has = {name: there.get(name, 0.0) for name in ("CPU", "GPU")}
    share = min(has["GPU"], 1.0) if gpus is None else gpus
    if local and (has["CPU"] < cpus or has["GPU"] < share):
        raise InputError(
            f"a stage is to have {cpus:g} CPUs and {share:g} GPUs, but this machine has {has['CPU']:g} and "
            f"{has['GPU']:g}: ask for less."
        )
    return share


def _submit(ray: Any, stages: Sequence[Stage], root: Path, cpus: float, gpus: float) -> dict[Any, str]:
    """One task a stage; its arguments are the tasks that it waits for. Returns the stage of each task."""
    task = ray.remote(_do)
    tasks: dict[str, Any] = {}
    for stage in stages:
        needs = [tasks[name] for name in stage.after if name in tasks]
        resources = {"num_cpus": cpus, "num_gpus": gpus if isinstance(stage, Training) else 0}
        retry = {"max_retries": RETRIES, "retry_exceptions": [Interrupted]}  # workers may be told to go, or just die
        call = task.options(name=stage.name, **resources, **retry)
        tasks[stage.name] = call.remote(stage, root, max(1, int(cpus)), *needs)
    return {task: name for name, task in tasks.items()}


def _do(stage: Stage, root: Path, threads: int, *needs: None) -> None:
    """What a worker does."""
    torch.set_num_threads(threads)
    log = root / "logs" / f"{stage.name.replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        try:
            stage.do(root, LineProgress(stream, every=60), threads)
        except Exception:
            traceback.print_exc(file=stream)
            raise


def _follow(ray: Any, tasks: dict[Any, str], stages: Sequence[Stage], root: Path, progress: Progress) -> dict[str, str]:
    """Wait for all tasks; returns the failures."""
    by_name = {stage.name: stage for stage in stages}
    failures: dict[str, str] = {}
    try:
        while tasks:
            ready, _ = ray.wait(list(tasks), timeout=_LOOK)
            for task in ready:
                name = tasks.pop(task)
                try:
                    ray.get(task)
                except ray.exceptions.RayError as error:
                    failed = [need for need in by_name[name].after if need in failures]
                    failures[name] = f"{failed[0]} failed" if failed else str(error).strip().splitlines()[-1]
            under_way = sum(_share_now(by_name[name], root) for name in tasks.values())
            percent = 100 * (1 - (len(tasks) - under_way) / len(stages))
            progress.update(len(ready), percent=percent, failed=len(failures))
    except KeyboardInterrupt:
        for task in tasks:
            ray.cancel(task)  # arrives as Ctrl-C in the worker
        if tasks:
            ray.wait(list(tasks), num_returns=len(tasks), timeout=_GRACE)
        raise
    return failures


def _share_now(stage: Stage, root: Path) -> float:
    """How much of a stage is done that may be at work."""
    try:
        return stage.share_done(root)
    except InputError:  # read while its worker was writing
        return 0.0


@contextmanager
def _ray(address: str | None) -> Iterator[ModuleType]:
    """Ray, connected: without dashboard, and without reporting its use to its makers.

    To a cluster we show the token that Ray keeps on this machine, if there is one: `ray start` asks for it then, but
    `ray.init` with an address does not show it by itself.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address and _TOKEN.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        ray = import_module("ray")
    except ModuleNotFoundError:
        raise InputError("experiments run on Ray, which is not installed: pip install 'fosp[experiments]'.") from None
    own: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": _OBJECTS}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except ConnectionError as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}): start one, or leave --address out.") from None
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM, which batch systems send, is Ctrl-C: Ray would leave nothing saved."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
