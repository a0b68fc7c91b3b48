"""Learning: pretrain and finetune."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fosp.cli.settings import From, Settings
from fosp.config import Config, load_config
from fosp.errors import InputError
from fosp.training.interrupts import Interrupted


def pretrain(*, dataset: tuple[Path, ...] = (), run: Path, resume: bool = False, config: Settings) -> None:
    """Learn from datasets, without touching the environment (evaluation aside).

    Settings start from --preset (test, laptop or paper); every one below can be changed. --env is short for --env.id.

    Args:
        dataset: Dataset directories; all of them go into the replay.
        run: Run directory to make: settings, checkpoint, metrics, evaluations.
        resume: Continue the run from its checkpoint, with its own settings and datasets.
    """
    _same_settings(config, run, resume)
    learn_offline(config, dataset, run, resume)
    print(f"Trained: {run}. Next: fosp finetune --from {run} --run ..., fosp evaluate --from {run}, fosp report {run}.")


def finetune(*, from_: From, run: Path, resume: bool = False, config: Settings) -> None:
    """Go on learning online: a new actor beside the frozen one, chosen between at every step.

    Settings start from those of the run that --from names; sizes must stay as they are.

    Args:
        from_: Run directory of the pretrained agent.
        run: Run directory to make.
        resume: Continue the run from its checkpoint, with its own settings.
    """
    _same_settings(config, run, resume)
    learn_online(config, from_, run, resume)
    print(f"Fine-tuned: {run}. Next: fosp evaluate --from {run}, fosp report {from_} {run}.")


def learn_offline(config: Config, dataset: Sequence[Path], run: Path, resume: bool) -> None:
    """Pretrain with a progress bar, and note machine and data for the report."""
    from fosp.report.runs import summarise_datasets
    from fosp.training.offline import pretrain
    from fosp.training.progress import make_progress

    with _machine_noted(run):
        pretrain(config, dataset, run, resume=resume, progress=make_progress())
    if dataset:
        summarise_datasets(dataset).save(run / "dataset.json")


def learn_online(config: Config, source: Path, run: Path, resume: bool) -> None:
    """Fine-tune with a progress bar, and note machine and data for the report."""
    from fosp.training.online import finetune
    from fosp.training.progress import make_progress

    with _machine_noted(run):
        finetune(config, source, run, resume=resume, progress=make_progress())
    if (source / "dataset.json").exists():
        shutil.copyfile(source / "dataset.json", run / "dataset.json")


def _same_settings(config: Config, run: Path, resume: bool) -> None:
    if resume and config != load_config(run / "config.yaml"):
        raise InputError(f"{run} resumes with its own settings: leave out the flags that differ from its config.yaml.")


@contextmanager
def _machine_noted(run: Path) -> Iterator[None]:
    """Write down what machine a run was made on, also when it was interrupted, never when it was refused."""
    from fosp.report.machine import save_machine

    try:
        yield
    except Interrupted:
        save_machine(run / "machine.json")
        raise
    save_machine(run / "machine.json")
