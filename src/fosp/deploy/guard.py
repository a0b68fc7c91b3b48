"""When to stop: a threshold on the estimated probability of a violation, from episodes that were held out.

Split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005): of n episodes
without a violation, take the largest estimate of each. The k-th smallest of these, k = ceil((n + 1)(1 - alpha)), is
exceeded by a further such episode with probability at most alpha, whatever the estimates are worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fosp.agents.base import ModelBasedAgent
from fosp.data import Episode, Replay
from fosp.errors import InputError


@dataclass(frozen=True)
class Guard:
    """A threshold and what it did on the episodes that it comes from."""

    threshold: float
    alpha: float
    """Largest probability of a false alarm in an episode without a violation."""
    safe: int
    """Episodes without a violation, which the threshold comes from."""
    violating: int
    """Episodes with one, which only tell what the guard would have caught."""
    caught: float
    """Share of those with an alarm before the first cost; nan where there are none."""
    lead: float
    """Median of the steps between alarm and first cost, where caught; nan where nothing was."""


def conformal_threshold(scores: Sequence[float], alpha: float) -> float:
    """The threshold for the largest estimates (n,) of episodes without a violation.

    Raises:
        InputError: there are fewer than 1 / alpha - 1 episodes, so that no threshold keeps the promise.
    """
    if not 0 < alpha < 1:
        raise InputError(f"The share of false alarms is {alpha}; it must lie between 0 and 1.")
    k = math.ceil((len(scores) + 1) * (1 - alpha))
    if k > len(scores):
        needed = math.ceil(1 / alpha - 1)
        raise InputError(
            f"{len(scores)} episodes without a violation are too few for a share of {alpha} false alarms: bring "
            f"{needed}, or allow more."
        )
    return float(np.sort(scores)[k - 1])


@torch.no_grad()
def estimates(agent: ModelBasedAgent, episode: Episode, generator: torch.Generator) -> np.ndarray:
    """The agent's probability of a violation at every observation before an action of an episode, (n,)."""
    model, rows = agent.world_model, len(episode) + 1
    replay = Replay(rows, agent.spaces, agent.actions, agent.device)
    replay.add(episode)
    batch = {key: replay.rows(key).unsqueeze(0) for key in (*agent.spaces, "action", "is_first")}
    noise = agent.noise(*model.rssm.noise_shape(1, rows), generator=generator)
    features = model.observe(batch, noise).features[0, :-1]
    _, info = agent.policy(features, "mean", generator)
    if "violation" not in info:
        raise InputError(f"Agent {agent.config.agent} does not estimate violations: there is nothing to guard with.")
    return info["violation"].float().cpu().numpy()


def calibrate(agent: ModelBasedAgent, episodes: Iterable[Episode], alpha: float) -> Guard:
    """The guard for episodes like these, which the agent must not have been trained on.

    Raises:
        InputError: too few episodes without a violation, or an agent without estimates.
    """
    generator = torch.Generator(agent.device).manual_seed(0)
    scores, violating = [], []
    for episode in episodes:
        p = estimates(agent, episode, generator)
        if (episode.costs > 0).any():
            # Step t's cost comes of the action at observation t: an alarm there is still in time.
            first = int(np.argmax(episode.costs > 0))
            violating.append(p[: first + 1])
        else:
            scores.append(float(p.max()))
    threshold = conformal_threshold(scores, alpha)
    leads = [len(p) - 1 - int(np.argmax(p > threshold)) for p in violating if (p > threshold).any()]
    return Guard(
        threshold=threshold,
        alpha=alpha,
        safe=len(scores),
        violating=len(violating),
        caught=len(leads) / len(violating) if violating else math.nan,
        lead=float(np.median(leads)) if leads else math.nan,
    )
