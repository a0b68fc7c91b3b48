"""Offline training: gradient updates on a dataset. The environment is touched for evaluation only."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fosp import parallel
from fosp.agents import make_model_based, resolve_device
from fosp.agents.base import ModelBasedAgent, in_bfloat16
from fosp.config import Config, load_config, save_config
from fosp.data.replay import Replay
from fosp.envs import make_env
from fosp.envs.make import ROBOTS_BY_FILE
from fosp.errors import InputError
from fosp.training.alone import alone_in_run
from fosp.training.artifacts import save_film, save_open_loop
from fosp.training.capture import captured
from fosp.training.checkpoint import (
    has_checkpoint,
    load_checkpoint,
    load_world_model,
    rewind_logs,
    save_checkpoint,
    verb_of,
)
from fosp.training.data import draw, load_offline_replay
from fosp.training.evaluation import evaluate
from fosp.training.interrupts import Interrupted, StopRequest, stop_on_signal
from fosp.training.memory import keep_freed_memory
from fosp.training.metrics import MetricsWriter
from fosp.training.progress import Progress, SilentProgress
from fosp.training.rollout import check_fits


def prepare(config: Config) -> None:
    """Process-wide settings of a run; the count of threads also decides the last bits of sums."""
    keep_freed_memory()
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    low = in_bfloat16(config.training.precision, resolve_device(config.device))
    torch.set_float32_matmul_precision("high" if low else "highest")


def step_share(update: int, total: int, cooldown: float) -> float:
    """How large the step of update number 0, 1, ... of `total` is, against the learning rate: 1, and linearly less over
    the last `cooldown` of them (a share), so that the one after the last would be 0."""
    return min(1.0, (total - update) / max(1.0, cooldown * total))


def claim_run(run: Path, config: Config, resume: bool, verb: str) -> Config:
    """Make `run`, or read the settings of the one to resume.

    Raises:
        InputError: `run` is something else, or in training by another process, or already holds a checkpoint and
            `resume` is off; or it is on, and another verb than `verb` has made the checkpoint.
    """
    if resume:
        config = load_config(run / "config.yaml")
        if has_checkpoint(run) and (made_by := verb_of(run)) != verb:
            raise InputError(f"{run} was made by `fosp {made_by}`: resume it with that verb, not with `fosp {verb}`.")
    if not parallel.is_main():
        return config
    if resume:
        with alone_in_run(run):
            rewind_logs(run)
        return config
    if has_checkpoint(run):
        raise InputError(f"{run} already holds a run; resume it with --resume, or give another directory.")
    if run.is_file() or (run.is_dir() and any(run.iterdir()) and not (run / "config.yaml").exists()):
        raise InputError(f"{run} holds something that is no run: give another directory.")
    run.mkdir(parents=True, exist_ok=True)
    with alone_in_run(run):
        for name in ("metrics.jsonl", "evaluations.jsonl"):  # of a run that died before its first checkpoint
            (run / name).unlink(missing_ok=True)
        shutil.rmtree(run / "episodes", ignore_errors=True)
        save_config(config, run / "config.yaml")
    return config


def pretrain(
    config: Config,
    datasets: Sequence[Path],
    run: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> ModelBasedAgent:
    """Train a world model for `config.training.model_updates` updates, unless there is one, and on it `config.agent`
    for `config.training.offline_updates`; both together where the former are 0.

    Args:
        config: settings; when resuming, those saved in `run` are used instead.
        datasets: directories of datasets, all of which go into the replay (when resuming: as before if empty).
        run: run directory, made here.
        resume: continue from the checkpoint in `run`.
        progress: told of every update.

    Returns:
        The trained agent.

    Raises:
        InputError: the data or the run directory cannot be used.
        Interrupted: SIGINT or SIGTERM arrived; everything is saved.
    """
    config = claim_run(run, config, resume, "pretrain")
    prepare(config)
    progress = progress or SilentProgress()
    device = parallel.local_device(resolve_device(config.device))
    replay, paths = load_offline_replay(config, datasets, run if resume else None, device)
    agent = make_model_based(config, replay.spec, replay.action_size, device)
    agent.see_bounds(replay.reward_max, replay.cost_max)
    if config.training.world_model:
        if not (resume and has_checkpoint(run)):
            load_world_model(Path(config.training.world_model), agent)
    elif "vector" in agent.spaces:
        agent.world_model.see_vectors(replay.rows("vector").to(device))
    if config.training.offline_updates and config.training.evaluation_episodes:
        _check_environment(agent)
    sampler = np.random.default_rng([config.seed, rank] if (rank := parallel.rank()) else config.seed)
    if rank:  # the same network everywhere, other random numbers
        agent.generator.manual_seed(int(sampler.integers(2**31)))
    loop: dict[str, Any] = {"phase": "offline", "frames": 0, "update": 0, "evaluated": 0}
    if resume and has_checkpoint(run):
        loop |= load_checkpoint(run, agent, sampler)
        _restore_others(agent, sampler, loop)
    loop["datasets"] = [str(p) for p in paths]
    try:
        with stop_on_signal() as stop, MetricsWriter(run, phase="offline", resume_at=loop["update"]) as metrics:
            _train(agent, replay, sampler, run, loop, metrics, progress, stop)
    finally:
        progress.close()
    if parallel.is_main():
        save_open_loop(run, agent, replay)
    return agent


def _check_environment(agent: ModelBasedAgent) -> None:
    """Raise `InputError` now where the first evaluation would, perhaps hours later. A robot is not opened for it."""
    env = agent.config.env
    if env.id.partition(":")[0] not in ROBOTS_BY_FILE:
        with closing(make_env(env.id, env.observation, env.action_repeat)) as world:
            check_fits(agent, world, env.id)


def _save(run: Path, agent: ModelBasedAgent, loop: dict[str, Any], sampler: np.random.Generator) -> None:
    """A checkpoint, with the random state of the other processes that train this run."""
    state = base64.b64encode(agent.generator.get_state().numpy().tobytes()).decode()
    others = parallel.collect({"generator": state, "sampler": sampler.bit_generator.state})[1:]
    if parallel.is_main():
        save_checkpoint(run, agent, loop | ({"others": others} if others else {}), sampler)
    parallel.any_of(False)  # nobody goes on before it is written


def _restore_others(agent: ModelBasedAgent, sampler: np.random.Generator, loop: dict[str, Any]) -> None:
    others = loop.get("others", [])
    if len(others) + 1 != parallel.count():
        raise InputError(
            f"This run was trained by {len(others) + 1} process(es) and goes on with as many: "
            f"torchrun --nproc-per-node {len(others) + 1} -m -- fosp pretrain --resume ..."
        )
    if rank := parallel.rank():
        saved = others[rank - 1]
        state = np.frombuffer(base64.b64decode(saved["generator"]), np.uint8)
        agent.generator.set_state(torch.from_numpy(state.copy()))
        sampler.bit_generator.state = saved["sampler"]


def _train(
    agent: ModelBasedAgent,
    replay: Replay,
    sampler: np.random.Generator,
    run: Path,
    loop: dict[str, Any],
    metrics: MetricsWriter,
    progress: Progress,
    stop: StopRequest,
) -> None:
    training = agent.config.training
    alone, rows = training.updates_without_behaviour, parallel.share_of(training.batch_size)
    total = alone + training.offline_updates
    learn, learn_model = captured(agent, agent.update), captured(agent, agent.update_model)
    progress.start(total, "pretrain", loop["update"])
    while True:
        update = loop["update"]
        # Before the updates, since a run may have been stopped between a checkpoint and the evaluation due at it.
        due = update == total or (training.evaluate_every > 0 and update % training.evaluate_every == 0)
        if due and loop["evaluated"] < update:
            if update > alone and training.evaluation_episodes and parallel.is_main():
                result = evaluate(agent, agent.config.env, training.evaluation_episodes, count=training.environments)
                result.append_to(run / "evaluations.jsonl", phase="offline", update=update, frames=0, cost_regret=None)
                figures = {"evaluation/return": result.reward, "evaluation/cost": result.cost}
                metrics.write(update, 0, figures | result.calibration)
                save_film(run, result.rollouts[0])
                progress.update(0, return_=result.reward, cost=result.cost)
            loop["evaluated"] = update
            _save(run, agent, loop, sampler)
        if update >= total:
            return
        agent.model_fixed = bool(training.world_model) or 0 < alone <= update
        begin, end = (0, alone) if update < alone else (alone, total)
        if training.cooldown:
            for optimiser in agent.optimisers.values():
                optimiser.scale(step_share(update - begin, end - begin, training.cooldown))
        batch = draw(replay, agent.config, rows, sampler)
        metrics.add(learn_model(batch) if update < alone else learn(batch))
        loop["update"] = update = update + 1
        progress.update()
        if update % training.log_every == 0 or update == total:
            metrics.write(update, 0, metrics.averages())
        stopping = parallel.any_of(stop.requested)
        if update % training.checkpoint_every == 0 or update == total or stopping:
            _save(run, agent, loop, sampler)
        if stopping:
            raise Interrupted(run)
