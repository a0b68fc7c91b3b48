"""A whole update as one CUDA graph: on a GPU, launching thousands of small kernels takes longer than running them.

A captured update is the same update: fixed shapes, all random numbers from the agent's own generator, nothing that
waits for the host. It is launched as one piece, and the host goes on to the next batch while the GPU works.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fosp import parallel
from fosp.agents.base import ModelBasedAgent
from fosp.models.world_model import Batch, Metrics

Update = Callable[[Batch], Metrics]

_WARM_UP = 3  # updates that run as they are, so that libraries, optimisers and compiled functions have all they need


def captured(agent: ModelBasedAgent, update: Update) -> Update:
    """`update` of `agent`, captured where that is possible and `training.capture` asks for it, else as it is.

    Args:
        agent: the generator of its random numbers takes part in the graph.
        update: `agent.update` or `agent.update_model`. What it does may depend on numbers in tensors, which are read at
            every update, but not on anything else that changes: capture anew after `start_online`.
    """
    if agent.device.type != "cuda" or not agent.config.training.capture or parallel.count() > 1:
        return update
    return CapturedUpdate(update, agent.generator)


class CapturedUpdate:
    """Called like the update that it captures, with batches of always the same shapes."""

    def __init__(self, update: Update, generator: torch.Generator) -> None:
        self.update, self.generator = update, generator
        self.stream = torch.cuda.Stream(generator.device)
        self.updates = 0
        self.batch: dict[str, Tensor] = {}
        self.metrics: Metrics = {}
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> Metrics:
        """One update; the metrics (float64) are overwritten by the next one."""
        self.updates += 1
        if self.updates <= _WARM_UP:
            return self.warm_up(batch)
        if self.graph is None:
            self.batch = {name: value.clone() for name, value in batch.items()}
            self.graph = self.capture()
        for name, value in self.batch.items():
            value.copy_(batch[name])
        self.graph.replay()
        return self.metrics

    def warm_up(self, batch: Batch) -> Metrics:
        """An update as it is, on the stream that will be captured."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*capturable=True")  # said of optimisers that run uncaptured
            metrics = as_float64(self.update(batch))
        torch.cuda.current_stream().wait_stream(self.stream)
        return metrics

    def capture(self) -> torch.cuda.CUDAGraph:
        """Record an update, without running it."""
        graph = torch.cuda.CUDAGraph()
        if hasattr(graph, "register_generator_state"):  # later versions of PyTorch find the generator by themselves
            graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph, stream=self.stream):
            self.metrics = as_float64(self.update(self.batch))
        return graph


def as_float64(metrics: Mapping[str, Tensor]) -> Metrics:
    """Scalars as they are summed up: the conversions are part of the graph."""
    return {name: value.detach().double() for name, value in metrics.items()}
