"""FOSP: offline safe policies from images through world models, fine-tuned online."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fosp.version import __version__

if TYPE_CHECKING:
    from fosp.agents import make_agent
    from fosp.config import Config, load_config, preset
    from fosp.data import Dataset, DatasetWriter, Episode, Replay, collect
    from fosp.envs import list_envs, make_env, make_vec_env
    from fosp.errors import InputError
    from fosp.training.evaluation import evaluate
    from fosp.training.offline import pretrain
    from fosp.training.online import finetune

__all__ = [
    "Config",
    "Dataset",
    "DatasetWriter",
    "Episode",
    "InputError",
    "Replay",
    "__version__",
    "collect",
    "evaluate",
    "finetune",
    "list_envs",
    "load_config",
    "make_agent",
    "make_env",
    "make_vec_env",
    "preset",
    "pretrain",
]

_HOMES = {
    "fosp.agents": ("make_agent",),
    "fosp.config": ("Config", "load_config", "preset"),
    "fosp.data": ("Dataset", "DatasetWriter", "Episode", "Replay", "collect"),
    "fosp.envs": ("list_envs", "make_env", "make_vec_env"),
    "fosp.errors": ("InputError",),
    "fosp.training.evaluation": ("evaluate",),
    "fosp.training.offline": ("pretrain",),
    "fosp.training.online": ("finetune",),
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: environments do without PyTorch, and the command line starts at once.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'fosp' has no attribute '{name}'")
