"""What an agent knows about data it has not seen: does its model see and foresee costs and rewards, does it see danger?
And what would its own policy cost, by its own model?

When a policy is not safe, this tells where to look first. No policy can avoid a hazard that its model does not see; no
critic knows more than the model foresees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fosp.agents.base import ModelBasedAgent
from fosp.data import Dataset, Episode, Replay, check_compatible
from fosp.errors import InputError
from fosp.models.rssm import Latent
from fosp.models.world_model import Batch
from fosp.training.progress import Progress, SilentProgress
from fosp.training.trained import load_trained

SEED = 0
OWN = "own policy: cost an episode"
_STEPS = 30  # of the policy's own rollouts, the second half of which counts
_CALM = 10  # recorded steps without a cost around their starts, one of which there is in as many steps


@dataclass(frozen=True)
class Finding:
    """How well one estimate agrees with what happened, over all steps of all episodes."""

    name: str
    estimate: float
    """Mean of the estimates."""
    truth: float
    """Mean of what happened; nan where nothing has happened yet."""
    correlation: float
    """Pearson's; nan where either does not vary."""
    auc: float
    """Probability that the estimate is higher at a step where what it is about happens than at one where it does not;
    nan for rewards, and where it happens always or never."""
    steps: int


@torch.no_grad()
def diagnose(
    agent: ModelBasedAgent, episodes: Iterable[Episode], ahead: int = 10, progress: Progress | None = None
) -> list[Finding]:
    """Compare an agent's estimates with recorded episodes.

    - reward and cost of the present step, read off the state after its observation has been seen;
    - their sums over the next `ahead` steps, imagined from that state along the recorded actions;
    - for agents that estimate it, the probability of a violation (whose truth depends on who acts: here, whoever
      recorded the episodes), against whether there is one or one follows within `ahead` steps; and the same for those
      states alone that have no cost yet, which a warning must tell apart;
    - for agents that have learned to act and do not plan, what an episode of their own would cost: by mean actions,
      imagined for thirty steps from states around which nothing has cost, as costs a step in the second half, when
      the policy has come to where it leads, times the steps of an episode. There is no truth to compare with before
      the policy has acted, which is what it is for.

    Args:
        agent: in whatever phase it is; its randomness is not touched.
        episodes: with the agent's observations, each longer than `ahead` steps.
        ahead: steps.
        progress: told of every episode.
    """
    generator = torch.Generator(agent.device).manual_seed(SEED)
    progress = progress or SilentProgress()
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    own: list[Tensor] = []
    acts = bool(agent.config.training.offline_updates) and not agent.plans
    for episode in episodes:
        batch, states = _observe(agent, episode, generator)
        for name, pair in _compare(agent, batch, states, ahead, generator).items():
            pairs.setdefault(name, []).append(pair)
        if acts:
            own.append(_own_costs(agent, batch["cost"][0], states, generator))
        progress.update()
    findings = []
    for name, parts in pairs.items():
        estimate, truth = (np.concatenate(x) for x in zip(*parts, strict=True))
        if not len(truth):
            continue
        happened = np.full(len(truth), False) if name.startswith("reward") else truth > 0
        correlation = np.corrcoef(estimate, truth)[0, 1] if np.ptp(estimate) and np.ptp(truth) else np.nan
        findings.append(
            Finding(
                name, float(estimate.mean()), float(truth.mean()), float(correlation), roc_auc(estimate, happened),
                len(truth),
            )
        )  # fmt: skip
    if own and sum(map(len, own)):
        env, costs = agent.config.env, torch.cat(own)
        episode_cost = costs.mean().item() * env.steps
        findings.append(Finding(OWN, episode_cost, np.nan, np.nan, np.nan, len(costs)))
    return findings


def diagnose_run(
    run: Path, dataset: Path, count: int, ahead: int, progress: Progress, device: str = "auto"
) -> list[Finding]:
    """`diagnose` of the agent in `run` on `count` episodes spread evenly over a dataset.

    Raises:
        InputError: run or dataset cannot be read or do not fit, or no episode is longer than `ahead` steps.
    """
    agent, data = load_trained(run, device).agent, Dataset(dataset)
    if not isinstance(agent, ModelBasedAgent):
        raise InputError(f"The agent in {run}, {agent.config.agent}, has no world model that could be diagnosed.")
    check_compatible(data, agent.spaces, agent.actions)
    if ahead < 1 or count < 1:
        raise InputError(f"--ahead is {ahead} and --episodes is {count}: both must be at least 1.")
    numbers = np.unique(np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int))
    progress.start(len(numbers), "diagnose")
    try:
        read = (data.read(int(number), agent.spaces) for number in numbers)
        findings = diagnose(agent, (episode for episode in read if len(episode) > ahead), ahead, progress)
    finally:
        progress.close()
    if not findings:
        raise InputError(f"{dataset} has no episode of more than {ahead} steps: choose a smaller --ahead.")
    return findings


def _observe(agent: ModelBasedAgent, episode: Episode, generator: torch.Generator) -> tuple[Batch, Latent]:
    """An episode of n steps as a batch of one sequence (1, n + 1), and its states (n + 1, ...)."""
    model, rows = agent.world_model, len(episode) + 1
    replay = Replay(rows, agent.spaces, agent.actions, agent.device)
    replay.add(episode)
    batch = {key: replay.rows(key).unsqueeze(0) for key in (*agent.spaces, "action", "reward", "cost", "is_first")}
    noise = agent.noise(*model.rssm.noise_shape(1, rows), generator=generator)
    states, _, _ = model.rssm.observe(model.encode(model.targets(batch)), batch["action"], batch["is_first"], noise)
    return batch, states.flatten()


def _own_costs(agent: ModelBasedAgent, cost: Tensor, states: Latent, generator: torch.Generator) -> Tensor:
    """Mean cost of a step in the second half of the policy's own rollouts, from every start where there is calm, (N,);
    cost: of arriving in each of the states, (n + 1,)."""
    around = F.max_pool1d(cost[None], 2 * _CALM + 1, stride=1, padding=_CALM)[0]
    start = torch.arange(_CALM, len(cost), _CALM, device=cost.device)
    start = start[around[start] == 0]
    model = agent.world_model
    noise = agent.noise(*model.rssm.noise_shape(_STEPS, len(start)), generator=generator)
    features, _ = model.imagine(
        Latent(states.h[start], states.z[start]), lambda s, _: agent.policy(s, "mean", generator)[0], noise
    )
    return model.cost(features[1 + _STEPS // 2 :]).mean(0)


def _compare(
    agent: ModelBasedAgent, batch: Batch, states: Latent, ahead: int, generator: torch.Generator
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Estimates and truth by name, each (steps,)."""
    model, rows = agent.world_model, len(states.h)
    starts = rows - ahead
    # Row t + 1 + k of `action` is what was done k steps after row t.
    actions = batch["action"][0].unfold(0, ahead, 1)[1:].permute(2, 0, 1)  # (ahead, starts, A)
    noise = agent.noise(*model.rssm.noise_shape(ahead, starts), generator=generator)
    imagined, _ = model.imagine(Latent(states.h[:starts], states.z[:starts]), lambda _, step: actions[step], noise)
    result = {}
    future = {}
    for signal, head in (("reward", model.reward), ("cost", model.cost)):
        real = batch[signal][0]
        future[signal] = real.unfold(0, ahead, 1)[1:].sum(-1)
        result[f"{signal}, present step"] = (head(states.features), real)
        result[f"{signal}, next {ahead} steps"] = (head(imagined[1:]).sum(0), future[signal])
    features = states.features[:starts]
    _, info = agent.policy(features, "mean", generator)
    if "violation" in info:
        present, follows = batch["cost"][0, :starts] > 0, future["cost"] > 0
        result[f"violation within {ahead} steps"] = (info["violation"], (present | follows).float())
        result[f"violation within {ahead} steps, none yet"] = (info["violation"][~present], follows[~present].float())
    return {name: (x.float().cpu().numpy(), y.cpu().numpy()) for name, (x, y) in result.items()}


def roc_auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties counting one half (Mann-Whitney).

    Args:
        score: (n,). positive: (n,) bool.

    Returns:
        The area, nan where all or none are positive.
    """
    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[group]  # midranks, from 1
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))
