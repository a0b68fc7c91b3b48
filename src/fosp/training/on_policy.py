"""Online training of agents without a replay: a round of episodes, one update from them, and they are forgotten."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
from gymnasium.vector import VectorEnv

from fosp.agents import make_agent, resolve_device
from fosp.agents.on_policy import OnPolicyAgent
from fosp.config import Config
from fosp.training.artifacts import save_film
from fosp.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from fosp.training.evaluation import evaluate
from fosp.training.interrupts import Interrupted, StopRequest, stop_on_signal
from fosp.training.metrics import MetricsWriter
from fosp.training.offline import prepare
from fosp.training.online import ONLINE_SEED, Counters, evaluation_due
from fosp.training.progress import Progress
from fosp.training.rollout import Rollout, observation_spaces, open_environments, rollout


def learn_on_policy(config: Config, run: Path, resume: bool, progress: Progress) -> OnPolicyAgent:
    """Train for `config.training.online_frames` frames in the claimed directory `run`; see `train`.

    A checkpoint is written after every update. A round that is interrupted is played again on resuming, to the same
    end.
    """
    prepare(config)
    with closing(open_environments(config.env, config.training.environments)) as environments:
        agent = make_agent(config, *observation_spaces(environments), resolve_device(config.device))
        assert isinstance(agent, OnPolicyAgent)
        counters, resuming = Counters(), resume and has_checkpoint(run)
        if resuming:
            counters = Counters(**load_checkpoint(run, agent)["counters"])
        resume_at = counters.update if resuming else None
        try:
            with stop_on_signal() as stop, MetricsWriter(run, phase="online", resume_at=resume_at) as metrics:
                _learn(agent, environments, counters, run, metrics, progress, stop)
        finally:
            progress.close()
    return agent


def _learn(
    agent: OnPolicyAgent,
    environments: VectorEnv,
    c: Counters,
    run: Path,
    metrics: MetricsWriter,
    progress: Progress,
    stop: StopRequest,
) -> None:
    training = agent.config.training
    progress.start(training.online_frames, "train", min(c.frames, training.online_frames))
    while True:
        if evaluation_due(c, training):
            result = evaluate(agent, agent.config.env, training.evaluation_episodes, environments=environments)
            result.append_to(
                run / "evaluations.jsonl", phase="online", update=c.update, frames=c.frames, cost_regret=c.cost_regret
            )
            metrics.write(c.update, c.frames, {"evaluation/return": result.reward, "evaluation/cost": result.cost})
            save_film(run, result.rollouts[0])
            c.evaluated, c.evaluated_frames = c.update, c.frames
            _save(run, agent, c)
        if c.frames >= training.online_frames:
            return
        rollouts = _play(agent, environments, c, run, progress, stop)
        episodes = [r.episode for r in rollouts]
        c.episodes += len(episodes)
        c.frames += sum(e.frames for e in episodes)
        c.cost += sum(e.total_cost for e in episodes)
        learned = agent.learn(agent.experience(episodes, [r.info for r in rollouts]))
        c.update += 1
        figures = {
            "train/return": float(np.mean([e.total_reward for e in episodes])),
            "train/cost": float(np.mean([e.total_cost for e in episodes])),
            "train/success": float(np.mean([(e.rewards > 0).any() for e in episodes])),
            "train/violation": float(np.mean([(e.costs > 0).any() for e in episodes])),
            "train/cost_regret": c.cost_regret,
        }
        metrics.add(learned)
        metrics.write(c.update, c.frames, figures | metrics.averages())
        progress.update(0, return_=figures["train/return"], cost=figures["train/cost"])
        _save(run, agent, c)
        if stop.requested:
            raise Interrupted(run)


def _play(
    agent: OnPolicyAgent, environments: VectorEnv, c: Counters, run: Path, progress: Progress, stop: StopRequest
) -> list[Rollout]:
    """A round of episodes, the last one no longer than the budget; an interrupt abandons it and keeps nothing of it."""
    before, rollouts = agent.generator.get_state(), list[Rollout]()
    left = agent.config.training.online_frames - c.frames
    wanted = min(agent.config.on_policy.episodes, -(-left // agent.config.env.time_limit))

    def on_step(steps: int) -> None:
        progress.update(steps * agent.config.env.action_repeat)
        if stop.requested:
            agent.generator.set_state(before)
            _save(run, agent, c)
            raise Interrupted(run)

    while len(rollouts) < wanted:
        first = ONLINE_SEED + c.episodes + len(rollouts)
        seeds = range(first, first + min(environments.num_envs, wanted - len(rollouts)))
        rollouts += rollout(
            agent,
            environments,
            list(seeds),
            "sample",
            agent.generator,
            behaviour=agent.config.agent,
            on_step=on_step,
        )
    return rollouts


def _save(run: Path, agent: OnPolicyAgent, c: Counters) -> None:
    save_checkpoint(run, agent, {"phase": "online", "update": c.update, "datasets": [], "counters": asdict(c)})
