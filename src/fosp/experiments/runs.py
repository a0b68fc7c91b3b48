"""Making runs, with what the report wants to know noted beside them: the machine, the commit, the data."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fosp import parallel
from fosp.config import Config, flatten, load_config
from fosp.errors import InputError
from fosp.report.machine import commit, save_machine
from fosp.report.runs import commits, summarise_datasets
from fosp.training.checkpoint import has_checkpoint, share_done
from fosp.training.interrupts import Interrupted
from fosp.training.offline import pretrain
from fosp.training.online import finetune, train
from fosp.training.progress import Progress

_SECTIONS = {
    "dreamer": ("dreamer",),
    "safe_dreamer": ("safe_dreamer",),
    "recovery_rl": ("recovery_rl",),
    "on_policy": ("ppo_lagrangian", "cpo"),
}
"""Settings that belong to some agents, who alone read them."""


def learn_offline(config: Config, datasets: Sequence[Path], run: Path, progress: Progress, resume: bool) -> None:
    """Pretrain."""
    with _machine_noted(run):
        pretrain(config, datasets, run, resume=resume, progress=progress)
    if datasets and parallel.is_main():
        summarise_datasets(datasets).save(run / "dataset.json")


def learn_online(config: Config, source: Path, run: Path, progress: Progress, resume: bool) -> None:
    """Fine-tune."""
    with _machine_noted(run):
        finetune(config, source, run, resume=resume, progress=progress)
    if (source / "dataset.json").exists():
        shutil.copyfile(source / "dataset.json", run / "dataset.json")


def learn_from_scratch(config: Config, run: Path, progress: Progress, resume: bool) -> None:
    """Train online only."""
    with _machine_noted(run):
        train(config, run, resume=resume, progress=progress)


def complete(run: Path, config: Config, learn: Callable[[bool], None]) -> None:
    """Call `learn`, with whether to resume, unless `run` is finished.

    Raises:
        InputError: `run` was begun with other settings.
    """
    if (run / "config.yaml").exists():
        check_same_settings(run, config)
    if share_done(run) < 1:
        learn(has_checkpoint(run))


def check_same_settings(run: Path, config: Config) -> None:
    """Raise `InputError` naming the first setting of `run` that differs from `config`.

    The device may differ, and the world model's path, which depends on where the experiments are; and what the run
    never reads: settings of other agents, and those of behaviour where it is a world model alone.
    """
    made, wanted = dict(flatten(load_config(run / "config.yaml"))), dict(flatten(config))
    unread = {section for section, agents in _SECTIONS.items() if config.agent not in agents}
    if config.training.model_updates and not config.training.offline_updates:
        unread.add("behaviour")
    for name in made:
        if name in ("device", "training.world_model") or name.partition(".")[0] in unread:
            continue
        if made[name] != wanted[name]:
            raise InputError(
                f"{run} was made with {name} = {made[name]}, not {wanted[name]}: move it away, or choose another place."
            )


@contextmanager
def _machine_noted(run: Path) -> Iterator[None]:
    """Write down what machine a run was made on and by what commits, one for each part that was begun by another; also
    when it was interrupted, never when it was refused."""
    path = run / "machine.json"
    code = ", ".join(dict.fromkeys([*commits(path), commit()]))  # now: the checkout may move on while this trains
    try:
        yield
    except Interrupted:
        if parallel.is_main():
            save_machine(path, code)
        raise
    if parallel.is_main():
        save_machine(path, code)
