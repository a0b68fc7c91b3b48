"""One step of a trained agent as a graph that runs without the agent's code (torch.export)."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fosp.agents.base import AgentState, ModelBasedAgent
from fosp.config import save_config
from fosp.data import Dataset, check_compatible
from fosp.deploy.guard import Guard, calibrate
from fosp.deploy.policy import FACTS, GRAPH, POLICY_VERSION, load_graph
from fosp.errors import InputError
from fosp.models.rssm import Latent
from fosp.training.trained import load_trained

TOLERANCE = 1e-5
"""Largest difference between graph and agent."""


class Step(nn.Module):
    """Filter one observation, act by the policy's mode; every random number comes in."""

    def __init__(self, agent: ModelBasedAgent, speed: float) -> None:
        super().__init__()
        self.agent, self.speed = agent, speed

    def forward(
        self, observation: dict[str, Tensor], h: Tensor, z: Tensor, action: Tensor, is_first: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All with one row; returns the action (1, A), the violation estimate (1,), h and z.

        h and z hold what the agent remembers: of one world model, or of two side by side.
        """
        count = h.shape[-1] // self.agent.world_model.rssm.size
        latents = [Latent(*parts) for parts in zip(h.chunk(count, -1), z.chunk(count, -1), strict=True)]
        state = self.agent.perceive(
            observation | {"is_first": is_first}, AgentState(latents[0], action, *latents[1:]), noise
        )
        chosen, info = self.agent.decide(state, "mean", self.agent.generator)
        unknown = torch.full_like(chosen[:, 0], torch.nan)
        return chosen.clamp(-self.speed, self.speed), info.get("violation", unknown), *memory(state)


def memory(state: AgentState) -> tuple[Tensor, Tensor]:
    """h and z of a state as the graph takes and returns them."""
    latents = [state.latent] if state.frozen is None else [state.latent, state.frozen]
    return torch.cat([latent.h for latent in latents], -1), torch.cat([latent.z for latent in latents], -1)


@dataclass(frozen=True)
class Exported:
    """What an export made, and how it was checked."""

    guard: Guard | None
    difference: float
    """Largest difference of action, estimate and state from the agent's, over `CHECKED` steps."""
    milliseconds: float
    """Of one step on one thread, the median."""


CHECKED = 50


def export_policy(
    run: Path, out: Path, *, speed: float = 1.0, calibration: Path | None = None, false_alarms: float = 0.1
) -> Exported:
    """Write the policy of `run` to the new directory `out`.

    ``step.pt2`` is the graph, with weights; ``weights.safetensors`` the agent's weights alone; ``config.yaml`` its
    settings; ``policy.json`` shapes, guard and what else a loader must know.

    Args:
        run: run directory of a FOSP, bc, dreamer or safe_dreamer (bsrp_lag) agent.
        out: directory to make; appears when it is whole.
        speed: largest magnitude of each action, in (0, 1].
        calibration: dataset that the agent has not seen, for the guard's threshold; None: no guard.
        false_alarms: share of episodes without a violation in which the guard may stop.

    Raises:
        InputError: the run, the dataset or `out` cannot be used.
    """
    if out.exists():
        raise InputError(f"{out} is there already: give another directory, or remove it.")
    if not 0 < speed <= 1:
        raise InputError(f"The speed limit is {speed}: it must be above 0 and at most 1.")
    agent = load_trained(run, "cpu").agent
    config = agent.config
    if not isinstance(agent, ModelBasedAgent) or not agent.exportable:
        able = "fosp, bc, dreamer and safe_dreamer (bsrp_lag)"
        raise InputError(f"The agent in {run}, {config.agent}, cannot be exported; {able} can.")
    guard = None
    if calibration is not None:
        data = Dataset(calibration)
        check_compatible(data, agent.spaces, agent.actions)
        guard = calibrate(agent, (data.read(i, agent.spaces) for i in range(len(data))), false_alarms)
    fresh = out.with_name(f"{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        program = _program(agent, speed)
        with warnings.catch_warnings():  # of weights that share memory, which is no harm on the CPU
            warnings.filterwarnings("ignore", message="No complete tensor found")
            torch.export.save(program, fresh / GRAPH)
        save_file({n: v.detach().contiguous() for n, v in agent.state_dict().items()}, fresh / "weights.safetensors")
        save_config(config, fresh / "config.yaml")
        h, z = memory(agent.initial_state(1))
        facts = {
            "version": POLICY_VERSION,
            "agent": config.agent,
            "env": dataclasses.asdict(config.env),
            "spaces": {name: list(shape) for name, shape in agent.spaces.items()},
            "actions": agent.actions,
            "state": {"h": h.shape[-1], "z": z.shape[-1], "latents": agent.world_model.rssm.latents},
            "speed": speed,
            "threshold": None if guard is None else guard.threshold,
            "guard": None if guard is None else dataclasses.asdict(guard),
        }
        (fresh / FACTS).write_text(json.dumps(facts, indent=2))
        difference, milliseconds = _check(agent, load_graph(fresh / GRAPH), speed)
        if difference > TOLERANCE:
            raise RuntimeError(f"The exported graph differs from the agent by {difference:.1e}; it was not kept.")
        fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Exported(guard, difference, milliseconds)


def _inputs(
    agent: ModelBasedAgent, first: bool, generator: torch.Generator
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """A made-up observation, whether it is the first, and noise."""
    observation = {
        name: torch.randint(256, (1, *shape), generator=generator, dtype=torch.uint8)
        if name == "image"
        else torch.randn((1, *shape), generator=generator)
        for name, shape in agent.spaces.items()
    }
    return observation, torch.tensor([first]), torch.rand(agent.world_model.rssm.noise_shape(1), generator=generator)


def _program(agent: ModelBasedAgent, speed: float) -> torch.export.ExportedProgram:
    state = agent.initial_state(1)
    observation, first, noise = _inputs(agent, True, torch.Generator().manual_seed(0))
    generator = agent.generator
    # A graph cannot hold a generator; the mode of a policy depends on no random number.
    agent.generator = None  # type: ignore[assignment]
    try:
        step = Step(agent, speed).eval().requires_grad_(False)
        with torch.no_grad():
            return torch.export.export(step, (observation, *memory(state), state.action, first, noise))
    finally:
        agent.generator = generator


@torch.no_grad()
def _check(agent: ModelBasedAgent, graph: nn.Module, speed: float) -> tuple[float, float]:
    """Largest difference from the agent over some steps in a row, and milliseconds of a step on one thread."""
    numbers, threads = torch.Generator().manual_seed(1), torch.get_num_threads()
    state, difference, times = agent.initial_state(1), 0.0, []
    h, z, last = *memory(state), state.action
    step = Step(agent, speed)
    torch.set_num_threads(1)
    try:
        for i in range(CHECKED):
            observation, first, noise = _inputs(agent, i % 20 == 0, numbers)
            began = time.perf_counter()
            ours = graph(observation, h, z, last, first, noise)
            times.append(time.perf_counter() - began)
            theirs = step(observation, h, z, last, first, noise)
            pairs = zip(ours, theirs, strict=True)
            difference = max(difference, *(float((x - y).abs().nan_to_num().max()) for x, y in pairs))
            last, _, h, z = ours
    finally:
        torch.set_num_threads(threads)
    return difference, 1000 * sorted(times)[len(times) // 2]
