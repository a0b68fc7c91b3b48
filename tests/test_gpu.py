"""What a GPU computes, against the CPU and against itself: all skipped where there is none."""

from __future__ import annotations

import pytest
import torch

from fosp.agents import AGENTS, ON_POLICY
from fosp.training.capture import captured
from fosp.training.checkpoint import load_checkpoint, save_checkpoint
from tiny import CPU, awaken, random_batch, tiny_agent

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

MODEL_BASED = sorted(set(AGENTS) - set(ON_POLICY))
SPACES = {"image": (64, 64, 6), "vector": (2,)}
GPU = torch.device("cuda")


def batches(count: int, device: torch.device) -> list[dict[str, torch.Tensor]]:
    return [
        {name: value.to(device) for name, value in random_batch(seed=i, spaces=SPACES).items()} for i in range(count)
    ]


@pytest.fixture
def exact_convolutions(monkeypatch):
    """Convolutions in float32, which PyTorch lets a GPU round to tf32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def share_random_numbers(agent, seed: int) -> None:
    """Let an agent draw from a generator of the CPU, whose numbers are the same everywhere."""
    g = torch.Generator().manual_seed(seed)
    agent.noise = lambda *shape, generator=None: torch.rand(shape, generator=g).to(agent.device)


@pytest.mark.parametrize("name", MODEL_BASED)
def test_twenty_updates_have_the_losses_and_gradients_of_the_cpu(name, exact_convolutions):
    """Each from the CPU's state: in a row, even a change of 1e-7 on one CPU has grown beyond this by the seventh."""
    cpu, gpu = (tiny_agent({"agent": name}, spaces=SPACES, device=device) for device in (CPU, GPU))
    awaken(cpu)
    for i, (ours, theirs) in enumerate(zip(batches(20, CPU), batches(20, GPU), strict=True)):
        gpu.load_state_dict(cpu.state_dict())
        for agent in (cpu, gpu):
            share_random_numbers(agent, seed=i)
        wanted, seen = cpu.update(ours), gpu.update(theirs)
        for key in (key for key in wanted if key.startswith(("loss/", "world_model/", "gradient/"))):
            assert seen[key].item() == pytest.approx(wanted[key].item(), rel=1e-3, abs=1e-4), (i, key)


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("name", MODEL_BASED)
def test_a_captured_update_is_the_update(name, online):
    results = []
    for capture in (False, True):
        agent = tiny_agent({"agent": name, "training.capture": capture}, spaces=SPACES, device=GPU)
        if online:
            agent.start_online()
        update = captured(agent, agent.update)
        metrics = [{key: value.item() for key, value in update(batch).items()} for batch in batches(8, GPU)]
        assert (update != agent.update) is capture
        results.append((metrics, {key: value.clone() for key, value in agent.state_dict().items()}))
    (eager, parameters), (replayed, others) = results
    for before, after in zip(eager, replayed, strict=True):
        assert after == {key: pytest.approx(value, rel=5e-3, abs=1e-5) for key, value in before.items()}
    for key, value in parameters.items():
        torch.testing.assert_close(others[key], value, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("compiled", [False, True])
def test_plans_are_ranked_as_on_the_cpu(compiled, exact_convolutions):
    settings = {"agent": "safe_dreamer", "safe_dreamer.variant": "osrp", "training.compile": compiled}
    cpu, gpu = (tiny_agent(settings, spaces=SPACES, device=device) for device in (CPU, GPU))
    awaken(cpu)
    gpu.load_state_dict(cpu.state_dict())
    g = torch.Generator().manual_seed(0)
    features, plans = torch.randn(3, cpu.world_model.features, generator=g), torch.rand(3, 40, 5, 1, generator=g)
    ranks = []
    for agent in (cpu, gpu):
        share_random_numbers(agent, seed=1)
        start = agent.world_model.rssm.split(features.to(agent.device))
        with torch.no_grad():
            ranks.append(agent.rank(start, plans.to(agent.device), agent.generator).cpu())
    torch.testing.assert_close(ranks[1], ranks[0], rtol=1e-3, atol=1e-3)
    assert ranks[0].std() > 0.01


@pytest.mark.parametrize("compiled", [False, True])
def test_a_plan_is_made_on_the_gpu(compiled):
    settings = {"agent": "safe_dreamer", "safe_dreamer.variant": "osrp_lag", "training.compile": compiled}
    agent = tiny_agent(settings, spaces=SPACES, device=GPU)
    observation = {key: value[:, 0] for key, value in random_batch(seed=0, spaces=SPACES).items() if key in SPACES}
    rows = len(observation["vector"])
    observation["is_first"] = torch.ones(rows, dtype=torch.bool)
    actions = [
        agent.act(observation, agent.initial_state(rows), "mean", torch.Generator(GPU).manual_seed(seed))[0]
        for seed in (0, 0, 1)
    ]
    assert actions[0].abs().max() <= 1
    torch.testing.assert_close(actions[1], actions[0])
    assert not torch.allclose(actions[2], actions[0])


def test_numbers_that_change_between_replays_count():
    agent = tiny_agent({"behaviour.multiplier_limit": 0.0}, spaces=SPACES, device=GPU)
    update = captured(agent, agent.update)
    data = batches(6, GPU)
    for batch in data:
        update(batch)
    agent.multiplier.multiplier.fill_(50.0)
    agent.generator.manual_seed(7)
    first = update(data[0])["multiplier/lambda"].item()
    assert first == pytest.approx(50.0, abs=1.0)


def test_replays_take_steps_of_the_size_that_counts_then():
    agent = tiny_agent({}, spaces=SPACES, device=GPU)
    update = captured(agent, agent.update)
    data = batches(6, GPU)
    for batch in data:
        update(batch)
    learned = list(agent.world_model.parameters()) + list(agent.actor.parameters())
    before = [p.detach().clone() for p in learned]
    for optimiser in agent.optimisers.values():
        optimiser.scale(0.0)
    update(data[0])
    assert all(torch.equal(p, old) for p, old in zip(learned, before, strict=True))
    for optimiser in agent.optimisers.values():
        optimiser.scale(1.0)
    update(data[0])
    assert any(not torch.equal(p, old) for p, old in zip(learned, before, strict=True))


def test_the_actor_learns_in_bfloat16_too():
    agent = tiny_agent({"training.precision": "bfloat16"}, spaces=SPACES, device=GPU)
    for batch in batches(1, GPU):
        metrics = agent.update(batch)
    assert all(metrics[f"gradient/{name}"].item() > 0 for name in ("world_model", "actor", "critics", "reachability"))


def test_a_checkpoint_goes_on_where_it_was(tmp_path):
    """Fused Adam wants moments in the memory layout of the parameters, those of convolutions among them."""
    agent = tiny_agent(spaces=SPACES, device=GPU)
    for batch in batches(2, GPU):
        agent.update(batch)
    save_checkpoint(tmp_path, agent, {"phase": "offline"})
    other = tiny_agent({"seed": 1}, spaces=SPACES, device=GPU)
    load_checkpoint(tmp_path, other)
    for one in (agent, other):
        one.update(batches(3, GPU)[2])
    for key, value in agent.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-3, atol=1e-4, msg=key)
