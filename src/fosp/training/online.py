"""Online training: one episode per environment, then the updates that the train ratio grants (Algorithm 1).

`finetune` goes on from a pretrained agent and its data; `train` starts from nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from gymnasium.vector import VectorEnv

from fosp.agents import ON_POLICY, make_model_based, resolve_device
from fosp.agents.base import Agent, ModelBasedAgent
from fosp.config import Config, TrainingConfig, change, flatten, load_config
from fosp.data.collect import CollectTask
from fosp.data.replay import Replay
from fosp.errors import InputError
from fosp.training.artifacts import save_film
from fosp.training.capture import captured
from fosp.training.checkpoint import (
    checkpoint_info,
    has_checkpoint,
    load_checkpoint,
    notice_unfinished,
    save_checkpoint,
)
from fosp.training.data import EpisodeStore, draw, load_offline_replay
from fosp.training.evaluation import evaluate
from fosp.training.interrupts import Interrupted, StopRequest, stop_on_signal
from fosp.training.metrics import MetricsWriter
from fosp.training.offline import claim_run, prepare
from fosp.training.progress import Progress, SilentProgress
from fosp.training.rollout import Rollout, check_fits, observation_spaces, open_environments, rollout

ONLINE_SEED = 500_000
"""Reset seed of the first online episode; episode i has ONLINE_SEED + i."""


@dataclass
class Counters:
    """Where the loop stands; saved with every checkpoint."""

    update: int = 0
    """Gradient updates, offline ones included."""
    frames: int = 0
    """Environment frames of online training."""
    episodes: int = 0
    """Online episodes in the replay."""
    cost: float = 0.0
    """Sum of costs over all online frames."""
    due: float = 0.0
    """Updates still owed for the steps taken."""
    evaluated: int = 0
    """Update of the last evaluation, or of the start."""
    evaluated_frames: int = -1
    """Frames at the last evaluation, -1 before the first."""

    @property
    def cost_regret(self) -> float:
        """Sum of costs over all training frames, divided by their number."""
        return self.cost / self.frames if self.frames else 0.0


def finetune(
    config: Config,
    source: Path,
    run: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> ModelBasedAgent:
    """Fine-tune the agent of run `source` in its environment for `config.training.online_frames` frames.

    The offline data stay in the replay, with the online episodes of `source` if it was fine-tuned itself, and this
    run's join them. A checkpoint is written after every round
    of episodes and every `checkpoint_every` updates; a round that is interrupted is played again on resuming, to the
    same end.

    Args:
        config: settings; when resuming, those saved in `run` are used instead. Sizes must be those of `source`.
        source: run directory with a pretrained checkpoint (not read when resuming).
        run: run directory, made here; may not be `source`.
        resume: continue from the checkpoint in `run`.
        progress: told of every frame.

    Raises:
        InputError: `source`, its data, the run directory or a step size cannot be used.
        Interrupted: SIGINT or SIGTERM arrived; everything is saved.
    """
    if not resume:
        checkpoint_info(source)
        if run.resolve() == source.resolve():
            raise InputError(f"The run directory {run} is the one to start from; give a new one.")
        check_step_sizes(config, load_config(source / "config.yaml"))
        notice_unfinished(source)
    config = claim_run(run, config, resume, "finetune")
    prepare(config)
    progress = progress or SilentProgress()
    device = resolve_device(config.device)
    resuming = resume and has_checkpoint(run)
    replay, datasets = load_offline_replay(config, [], run if resuming else source, device, own=not resuming)
    replay.begin_online()
    agent = make_model_based(with_small_steps(config), replay.spec, replay.action_size, device)
    sampler = np.random.default_rng(config.seed + 1)
    if resuming:
        counters = Counters(**load_checkpoint(run, agent, sampler)["counters"])
    else:
        update = load_checkpoint(source, agent)["update"]
        counters = Counters(update=update, evaluated=update)
        agent.generator.manual_seed(config.seed + 1)
        agent.start_online()
        agent.change_settings(load_config(source / "config.yaml"))
        agent.see_bounds(replay.reward_max, replay.cost_max)  # by these settings' gamma and steps
    _learn(agent, replay, sampler, run, datasets, counters, progress, resuming)
    return agent


_LEARNING_RATES = (
    "world_model.learning_rate",
    "behaviour.actor_learning_rate",
    "behaviour.critic_learning_rate",
    "behaviour.reach_learning_rate",
)


def with_small_steps(config: Config) -> Config:
    """`config` with the one step size that `training.finetuning_learning_rate` gives to all networks, if it does."""
    rate = config.training.finetuning_learning_rate
    return change(config, dict.fromkeys(_LEARNING_RATES, rate)) if rate else config


def check_step_sizes(config: Config, before: Config) -> None:
    """Raise `InputError` where a network's own step size is set anew (since `before`), but another setting decides."""
    settings, earlier = dict(flatten(config)), dict(flatten(before))
    for name in _LEARNING_RATES:
        if config.training.finetuning_learning_rate and settings[name] != earlier[name]:
            raise InputError(
                f"Setting {name} is {settings[name]}, but training.finetuning_learning_rate decides in fine-tuning: "
                "set that one, or set it to 0, by which each network has its own."
            )


def updates_granted(training: TrainingConfig, steps: int) -> float:
    """Gradient updates that an online episode of so many agent steps earns."""
    if training.updates_per_episode:
        return training.updates_per_episode
    return steps * training.train_ratio / (training.batch_size * training.sequence_length)


def without_offline_actor(config: Config) -> Config:
    """`config` for a run from scratch: no offline actor exists that could be frozen, so that nothing is expanded."""
    return change(config, {"behaviour.expansion": False})


def train(config: Config, run: Path, *, resume: bool = False, progress: Progress | None = None) -> Agent:
    """Train an agent from scratch in its environment for `config.training.online_frames` frames ("direct online").

    The losses are those of fine-tuning, and one actor learns and acts (see `without_offline_actor`). The first
    `prefill_episodes` episodes are random actions; their frames and costs count, and they grant updates, as all others.

    Args:
        config: settings; when resuming, those saved in `run` are used instead.
        run: run directory, made here.
        resume: continue from the checkpoint in `run`.
        progress: told of every frame.

    Raises:
        InputError: the environment or the run directory cannot be used.
        Interrupted: SIGINT or SIGTERM arrived; everything is saved.
    """
    config = claim_run(run, without_offline_actor(config), resume, "train")
    if config.agent in ON_POLICY:
        from fosp.training.on_policy import learn_on_policy

        return learn_on_policy(config, run, resume, progress or SilentProgress())
    prepare(config)
    device = resolve_device(config.device)
    with closing(_random_episodes(config).make_env()) as environment:
        spaces, actions = observation_spaces(environment)
    replay = Replay(config.training.replay_steps, spaces, actions, device)
    agent = make_model_based(config, spaces, actions, device)
    sampler = np.random.default_rng(config.seed)
    agent.start_online()
    counters, resuming = Counters(), resume and has_checkpoint(run)
    if resuming:
        counters = Counters(**load_checkpoint(run, agent, sampler)["counters"])
    _learn(agent, replay, sampler, run, [], counters, progress or SilentProgress(), resuming)
    return agent


def _random_episodes(config: Config) -> CollectTask:
    """How the episodes before learning are played."""
    env = config.env
    return CollectTask(env.id, ("random",), ONLINE_SEED, env.observation, env.action_repeat)


def _learn(
    agent: ModelBasedAgent,
    replay: Replay,
    sampler: np.random.Generator,
    run: Path,
    datasets: Sequence[Path],
    counters: Counters,
    progress: Progress,
    resuming: bool,
) -> None:
    """The loop, from where `counters` stand; the run's own episodes join the replay first."""
    store = EpisodeStore(run / "episodes", agent.config.env, agent.spaces, agent.actions)
    for episode in store.load(counters.episodes):
        replay.add(episode)
    loop: dict[str, object] = {"phase": "online", "datasets": [str(path) for path in datasets]}
    try:
        with (
            stop_on_signal() as stop,
            MetricsWriter(run, phase="online", resume_at=counters.update if resuming else None) as metrics,
            store,
        ):
            _OnlineTraining(agent, replay, sampler, store, run, loop, counters, metrics, progress, stop).run_all()
    finally:
        progress.close()


def evaluation_due(c: Counters, training: TrainingConfig) -> bool:
    """Whether a mark or the end has been reached since the last evaluation, or enough updates were made."""
    if not training.evaluation_episodes:
        return False
    if c.frames >= training.online_frames:
        return c.evaluated_frames < c.frames
    marked = any(c.evaluated_frames < mark <= c.frames for mark in training.evaluate_at)
    return marked or 0 < training.evaluate_every <= c.update - c.evaluated


class _OnlineTraining:
    """The loop's parts, sharing what they work on."""

    def __init__(
        self,
        agent: ModelBasedAgent,
        replay: Replay,
        sampler: np.random.Generator,
        store: EpisodeStore,
        run: Path,
        loop: dict[str, object],
        counters: Counters,
        metrics: MetricsWriter,
        progress: Progress,
        stop: StopRequest,
    ) -> None:
        self.agent, self.replay, self.sampler, self.store, self.run = agent, replay, sampler, store, run
        self.loop, self.counters, self.metrics, self.progress, self.stop = loop, counters, metrics, progress, stop
        self.training = agent.config.training
        self.update = captured(agent, agent.update)

    def run_all(self) -> None:
        """Rounds of collecting and training until the budget of frames is spent."""
        c = self.counters
        total = self.training.online_frames
        self.progress.start(total, "finetune" if self.loop["datasets"] else "train", min(c.frames, total))
        if not self.loop["datasets"]:
            self.prefill()
        env = self.agent.config.env
        environments = open_environments(env, self.training.environments)
        try:
            check_fits(self.agent, environments, env.id)
            while True:
                self.train()  # first of all the updates that an interrupted run still owes
                if evaluation_due(c, self.training):
                    self.evaluate(environments)
                if c.frames >= self.training.online_frames:
                    return
                rollouts = self.collect(environments)
                self.agent.see_costs([r.episode.total_cost for r in rollouts])
                self.learn_from(rollouts)
        finally:
            environments.close()

    def prefill(self) -> None:
        """Episodes of random actions, for a replay that would be empty."""
        c, task = self.counters, _random_episodes(self.agent.config)
        with closing(task.make_env()) as environment:
            while c.episodes < self.training.prefill_episodes:
                episode = task.play(environment, c.episodes)
                self.progress.update(episode.frames)
                self.learn_from([Rollout(episode, {})])
                if self.stop.requested:
                    raise Interrupted(self.run)
        if c.episodes == self.training.prefill_episodes and "vector" in self.agent.spaces:
            self.agent.world_model.see_vectors(self.replay.rows("vector").to(self.agent.device))

    def collect(self, environments: VectorEnv) -> list[Rollout]:
        """One episode per environment with the current policy; an interrupt abandons it and keeps nothing of it."""
        before = self.agent.generator.get_state()
        first = ONLINE_SEED + self.counters.episodes
        seeds = [first + i for i in range(environments.num_envs)]
        repeat = self.agent.config.env.action_repeat

        def on_step(steps: int) -> None:
            self.progress.update(steps * repeat)
            if self.stop.requested:
                self.agent.generator.set_state(before)
                self.save()
                raise Interrupted(self.run)

        return rollout(
            self.agent,
            environments,
            seeds,
            "sample",
            self.agent.generator,
            behaviour=self.agent.config.agent,
            on_step=on_step,
        )

    def learn_from(self, rollouts: list[Rollout]) -> None:
        """Append the episodes to disk and replay, and count what they cost."""
        c = self.counters
        figures: dict[str, list[float]] = {}
        for r in rollouts:
            self.store.add(c.episodes, r.episode)
            self.replay.add(r.episode)
            c.episodes += 1
            c.frames += r.episode.frames
            c.cost += r.episode.total_cost
            c.due += updates_granted(self.training, len(r.episode))
            figures.setdefault("train/return", []).append(r.episode.total_reward)
            figures.setdefault("train/cost", []).append(r.episode.total_cost)
            figures.setdefault("train/success", []).append(float((r.episode.rewards > 0).any()))
            figures.setdefault("train/violation", []).append(float((r.episode.costs > 0).any()))
            if "choice" in r.info:
                figures.setdefault("expansion/new_share", []).append(float(r.info["choice"].mean()))
                for name in ("score_offline", "score_new", "probability_new"):
                    figures.setdefault(f"expansion/{name}", []).append(float(r.info[name].mean()))
        self.agent.see_bounds(self.replay.reward_max, self.replay.cost_max)
        means = {name: float(np.mean(values)) for name, values in figures.items()}
        self.metrics.write(c.update, c.frames, means | {"train/cost_regret": c.cost_regret})
        self.progress.update(0, return_=means["train/return"], cost=means["train/cost"])
        self.save()

    def train(self) -> None:
        """All whole updates that are due."""
        c = self.counters
        while c.due >= 1:
            batch = draw(self.replay, self.agent.config, self.training.batch_size, self.sampler)
            self.metrics.add(self.update(batch))
            c.update += 1
            c.due -= 1
            if c.update % self.training.log_every == 0:
                self.metrics.write(c.update, c.frames, self.metrics.averages())
            if c.update % self.training.checkpoint_every == 0 or self.stop.requested:
                self.save()
            if self.stop.requested:
                raise Interrupted(self.run)
            self.progress.update(0)

    def evaluate(self, environments: VectorEnv) -> None:
        """Evaluate on the fixed seeds, in the environments of training since of a robot there is one only, and log."""
        c, config = self.counters, self.agent.config
        result = evaluate(self.agent, config.env, self.training.evaluation_episodes, environments=environments)
        result.append_to(
            self.run / "evaluations.jsonl",
            phase="online",
            update=c.update,
            frames=c.frames,
            cost_regret=c.cost_regret,
        )
        figures = {"evaluation/return": result.reward, "evaluation/cost": result.cost} | result.calibration
        self.metrics.write(c.update, c.frames, figures)
        save_film(self.run, result.rollouts[0])
        c.evaluated, c.evaluated_frames = c.update, c.frames
        self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(
            self.run,
            self.agent,
            {**self.loop, "update": self.counters.update, "counters": asdict(self.counters)},
            self.sampler,
        )
