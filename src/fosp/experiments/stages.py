"""The stages of an experiment: each does its part as far as it has not been done, and tells how far that is."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fosp.agents import ON_POLICY
from fosp.config import Config, EnvConfig, change, save_config
from fosp.data import collect, episodes_recorded, mix
from fosp.envs.behaviours import BEHAVIOURS
from fosp.experiments.runs import check_same_settings, complete, learn_from_scratch, learn_offline, learn_online
from fosp.report.machine import commit, save_machine
from fosp.report.runs import load_evaluations
from fosp.training.checkpoint import share_done
from fosp.training.evaluation import EVALUATION_SEED
from fosp.training.online import updates_granted
from fosp.training.progress import Progress
from fosp.training.trained import measure_agent, measure_behaviour

_SEEDS_APART = 50_000  # between the first episodes of two behaviours; evaluations and online episodes have larger seeds


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """A part of an experiment that is done in one piece."""

    name: str
    """Its directory, below that of the experiments."""
    after: tuple[str, ...] = ()
    """Names of the stages whose results it reads."""

    @abstractmethod
    def share_done(self, root: Path) -> float:
        """How much of it is done, from 0 to 1; raises `InputError` where the directory holds something else."""

    @abstractmethod
    def do(self, root: Path, progress: Progress, workers: int) -> None:
        """Do the rest; what can be divided is done by `workers` processes."""


@dataclass(frozen=True, kw_only=True)
class Collect(Stage):
    """Episodes of one scripted behaviour."""

    env: EnvConfig
    behaviour: str
    episodes: int

    def share_done(self, root: Path) -> float:
        return min(episodes_recorded(root / self.name) / self.episodes, 1.0)

    def do(self, root: Path, progress: Progress, workers: int) -> None:
        progress.start(self.episodes, "collect", episodes_recorded(root / self.name))
        collect(
            self.env.id,
            (self.behaviour,),
            self.episodes,
            root / self.name,
            seed=_SEEDS_APART * list(BEHAVIOURS).index(self.behaviour),
            workers=workers,
            observation=self.env.observation,
            action_repeat=self.env.action_repeat,
            on_episode=lambda done, summary: progress.update(return_=summary.total_reward, cost=summary.total_cost),
        )
        progress.close()


@dataclass(frozen=True, kw_only=True)
class Mix(Stage):
    """A dataset of so many episodes of each behaviour; `after` names the datasets that they are taken from."""

    counts: Mapping[str, int]

    def share_done(self, root: Path) -> float:
        return float((root / self.name).exists())

    def do(self, root: Path, progress: Progress, workers: int) -> None:
        target = root / self.name
        part = target.parent / ".part" / target.name  # a dataset's directory gives it its id: only its parent differs
        shutil.rmtree(part, ignore_errors=True)
        mix([root / name for name in self.after], self.counts, part)
        part.rename(target)


@dataclass(frozen=True, kw_only=True)
class Training(Stage):
    """A run."""

    config: Config

    def share_done(self, root: Path) -> float:
        run = root / self.name
        if not (run / "config.yaml").exists():
            return 0.0
        check_same_settings(run, self.config)
        return share_done(run)

    def do(self, root: Path, progress: Progress, workers: int) -> None:
        run = root / self.name
        complete(run, self.config, lambda resume: self.learn(root, run, progress, resume))
        if not (run / "machine.json").exists():  # a worker died after the last checkpoint
            save_machine(run / "machine.json", commit())

    @property
    @abstractmethod
    def updates(self) -> int:
        """Gradient updates that it makes."""

    @abstractmethod
    def learn(self, root: Path, run: Path, progress: Progress, resume: bool) -> None:
        """Train to the end."""


@dataclass(frozen=True, kw_only=True)
class WorldModel(Training):
    """A world model alone, learned from the dataset that `after` names; there is nothing to evaluate."""

    @property
    def updates(self) -> int:
        return self.config.training.model_updates

    def learn(self, root: Path, run: Path, progress: Progress, resume: bool) -> None:
        learn_offline(self.config, [root / name for name in self.after], run, progress, resume)


@dataclass(frozen=True, kw_only=True)
class Evaluated(Training):
    """A run that ends with an evaluation of `episodes` episodes."""

    episodes: int

    def share_done(self, root: Path) -> float:
        share = super().share_done(root)
        return share if self.is_measured(root / self.name) else min(share, 0.99)

    def is_measured(self, run: Path) -> bool:
        """Whether the last state of the agent was evaluated long enough."""
        wanted = (self.config.agent, "mean", self.config.env.id, EVALUATION_SEED)
        made = load_evaluations(run)
        found = [item for item in made if (item.agent, item.mode, item.env, item.seeds[0]) == wanted]
        return any(item.update == found[-1].update and len(item.returns) == self.episodes for item in found)

    def do(self, root: Path, progress: Progress, workers: int) -> None:
        super().do(root, progress, workers)
        if not self.is_measured(root / self.name):
            measure_agent(root / self.name, self.episodes, progress, device=self.config.device)


@dataclass(frozen=True, kw_only=True)
class Pretrain(Evaluated):
    """Offline training on the dataset that `after` names, and on the world model that it names next, if any."""

    @property
    def updates(self) -> int:
        return self.config.training.offline_updates

    def learn(self, root: Path, run: Path, progress: Progress, resume: bool) -> None:
        dataset, *model = self.after
        config = change(self.config, {"training.world_model": str(root / model[0])}) if model else self.config
        learn_offline(config, [root / dataset], run, progress, resume)


@dataclass(frozen=True, kw_only=True)
class Online(Evaluated):
    """A run in the environment."""

    @property
    def updates(self) -> int:
        training, env = self.config.training, self.config.env
        if self.config.agent in ON_POLICY:  # one of the policy after each round of episodes
            return -(-training.online_frames // (env.time_limit * self.config.on_policy.episodes))
        return round(training.online_frames / env.time_limit * updates_granted(training, env.steps))


@dataclass(frozen=True, kw_only=True)
class Finetune(Online):
    """Online training of the run that `after` names."""

    def learn(self, root: Path, run: Path, progress: Progress, resume: bool) -> None:
        (source,) = self.after
        learn_online(self.config, root / source, run, progress, resume)


@dataclass(frozen=True, kw_only=True)
class Train(Online):
    """Online training from scratch."""

    def learn(self, root: Path, run: Path, progress: Progress, resume: bool) -> None:
        learn_from_scratch(self.config, run, progress, resume)


@dataclass(frozen=True, kw_only=True)
class Reference(Stage):
    """An evaluation of a scripted behaviour, in a run directory of its own."""

    config: Config
    """Names the behaviour as its evaluation does."""
    episodes: int
    behaviour: str

    def share_done(self, root: Path) -> float:
        made = [(len(item.returns), item.seeds[0]) for item in load_evaluations(root / self.name)]
        return float((self.episodes, EVALUATION_SEED) in made)

    def do(self, root: Path, progress: Progress, workers: int) -> None:
        run = root / self.name
        run.mkdir(parents=True, exist_ok=True)
        save_config(self.config, run / "config.yaml")
        save_machine(run / "machine.json", commit())
        measure_behaviour(self.behaviour, run, self.episodes, progress)
