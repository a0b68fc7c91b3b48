"""Learning: pretrain, finetune, train."""

from __future__ import annotations

from pathlib import Path

from fosp.cli.settings import From, Settings
from fosp.config import Config, load_config
from fosp.errors import InputError


def pretrain(*, dataset: tuple[Path, ...] = (), run: Path, resume: bool = False, config: Settings) -> None:
    """Learn from datasets, without touching the environment (evaluation aside).

    Settings start from --preset (test, laptop or paper); every one below can be changed. --env is short for --env.id,
    --observation and --action_repeat for --env.observation and --env.action_repeat.
    Several processes can share the batches: torchrun --nproc-per-node 2 -m -- fosp pretrain ...

    Args:
        dataset: Dataset directories; all of them go into the replay.
        run: Run directory to make: settings, checkpoint, metrics, evaluations.
        resume: Continue the run from its checkpoint, with its own settings and datasets.
    """
    from fosp import parallel
    from fosp.experiments.runs import learn_offline
    from fosp.training.progress import SilentProgress, make_progress

    _same_settings(config, run, resume)
    with parallel.joined():
        learn_offline(config, dataset, run, make_progress() if parallel.is_main() else SilentProgress(), resume)
    if parallel.is_main():
        following = (f"fosp finetune --from {run} --run ...", f"fosp evaluate --from {run}", f"fosp report {run}")
        print(f"Trained: {run}. Next: {', '.join(following)}.")


def finetune(*, from_: From, run: Path, resume: bool = False, config: Settings) -> None:
    """Go on learning online: a new actor beside the frozen one, chosen between at every step.

    Settings start from those of the run that --from names; sizes must stay as they are.

    Args:
        from_: Run directory of the pretrained agent.
        run: Run directory to make.
        resume: Continue the run from its checkpoint, with its own settings.
    """
    from fosp.experiments.runs import learn_online
    from fosp.training.progress import make_progress

    _same_settings(config, run, resume)
    learn_online(config, from_, run, make_progress(), resume)
    print(f"Fine-tuned: {run}. Next: fosp evaluate --from {run}, fosp report {from_} {run}.")


def train(*, run: Path, resume: bool = False, config: Settings) -> None:
    """Learn online from scratch: no data, no pretrained agent, and so no second actor (behaviour.expansion is off).

    Settings start from --preset (test, laptop or paper). The first training.prefill_episodes episodes are random.

    Args:
        run: Run directory to make.
        resume: Continue the run from its checkpoint, with its own settings.
    """
    from fosp.experiments.runs import learn_from_scratch
    from fosp.training.progress import make_progress

    _same_settings(config, run, resume)
    learn_from_scratch(config, run, make_progress(), resume)
    print(f"Trained: {run}. Next: fosp evaluate --from {run}, fosp report {run}.")


def _same_settings(config: Config, run: Path, resume: bool) -> None:
    if resume and config != load_config(run / "config.yaml"):
        raise InputError(f"{run} resumes with its own settings: leave out the flags that differ from its config.yaml.")
