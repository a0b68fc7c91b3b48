"""The contract every agent keeps: acting, randomness, precision, compiled and eager alike, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fosp.agents import AGENTS, ON_POLICY, make_agent, resolve_device
from fosp.agents.base import AgentState, in_bfloat16
from fosp.errors import InputError
from fosp.models.rssm import Latent
from tiny import CPU, awaken, random_batch, tiny_agent, tiny_config

MODEL_BASED = set(AGENTS) - set(ON_POLICY)
BOTH = {"image": (64, 64, 6), "vector": (2,)}


def observation(rows: int, seed: int = 0, *, first: bool = False) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {"vector": torch.randn(rows, 2, generator=g), "is_first": torch.full((rows,), first)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(MODEL_BASED))
def test_acting_gives_one_bounded_action_and_state_per_environment(name):
    agent = tiny_agent({"agent": name})
    state = agent.initial_state(4)
    for step in range(3):
        action, state, info = agent.act(observation(4, step, first=step == 0), state, "sample", generator(step))
        assert action.shape == (4, 1)
        assert action.abs().max() <= 1
        assert torch.equal(state.action, action)
        assert all(value.shape == (4,) for value in info.values())
    if name == "fosp":
        assert {"violation", "value_reward", "value_cost"} <= info.keys()


def remembered(agent, rows: int) -> AgentState:
    """A state as if something had been seen before."""
    rssm = agent.world_model.rssm
    return AgentState(Latent(torch.randn(rows, rssm.size), torch.rand(rows, 16)), torch.rand(rows, 1))


def test_a_new_episode_forgets_the_state_of_its_own_row_only():
    agent = tiny_agent()
    state, seen = remembered(agent, 2), observation(2)
    seen["is_first"] = torch.tensor([True, False])
    _, new, _ = agent.act(seen, state, "mean", generator())
    _, fresh, _ = agent.act(
        {**seen, "is_first": torch.tensor([True, True])}, agent.initial_state(2), "mean", generator()
    )
    torch.testing.assert_close(new.latent.h[0], fresh.latent.h[0])
    assert (new.latent.h[1] - fresh.latent.h[1]).abs().max() > 1e-4


def test_the_last_action_is_part_of_what_is_filtered():
    agent = tiny_agent()
    state, seen = remembered(agent, 2), observation(2)
    _, a, _ = agent.act(seen, state, "mean", generator())
    _, b, _ = agent.act(seen, state._replace(action=-state.action), "mean", generator())
    assert (a.latent.h - b.latent.h).abs().max() > 1e-4


def test_acting_filters_as_training_does():
    """Steps of `act` reach the states of `observe` on the same sequence with the same noise."""
    agent, batch = tiny_agent(), random_batch(2, 5)
    rssm = agent.world_model.rssm
    g, state, hs, noises, actions = generator(5), agent.initial_state(2), [], [], []
    for t in range(5):
        copy = torch.Generator()
        copy.set_state(g.get_state())
        noises.append(torch.rand(rssm.noise_shape(2), generator=copy))
        actions.append(state.action)
        step = {"vector": batch["vector"][:, t], "is_first": batch["is_first"][:, t]}
        _, state, _ = agent.act(step, state, "sample", g)
        hs.append(state.latent.h)
    embedding = agent.world_model.encode(agent.world_model.targets(batch))
    states, _, _ = rssm.observe(embedding, torch.stack(actions, 1), batch["is_first"], torch.stack(noises, 1))
    torch.testing.assert_close(torch.stack(hs, 1), states.h)


def test_mean_actions_are_repeatable_and_samples_follow_the_generator():
    agent = tiny_agent()
    state, seen = agent.initial_state(3), observation(3)
    draws = [agent.act(seen, state, "sample", generator(seed))[0] for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    s = torch.randn(3, agent.world_model.features)
    assert torch.equal(agent.policy(s, "mean", generator(1))[0], agent.policy(s, "mean", generator(2))[0])


def test_acting_leaves_the_agents_own_randomness_alone():
    agent = tiny_agent()
    before = agent.generator.get_state()
    agent.act(observation(2), agent.initial_state(2), "sample", generator())
    assert torch.equal(before, agent.generator.get_state())


@pytest.mark.parametrize("name", sorted(MODEL_BASED))
def test_the_seed_decides_everything_and_the_global_generators_nothing(name):
    def run(seed: int) -> tuple[float, torch.Tensor]:
        torch.rand(3)
        np.random.rand()  # noqa: NPY002
        agent = tiny_agent({"agent": name, "seed": seed})
        for i in range(2):
            metrics = agent.update(random_batch(seed=i))
        return metrics["loss/world_model"].item(), torch.cat([p.detach().flatten() for p in agent.parameters()])

    (loss, weights), (same_loss, same_weights), (other_loss, _) = run(3), run(3), run(4)
    assert loss == same_loss
    assert torch.equal(weights, same_weights)
    assert loss != other_loss


def test_making_and_updating_an_agent_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    tiny_agent().update(random_batch())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", sorted(MODEL_BASED))
def test_every_observation_kind_trains(name):
    for spaces in ({"image": (64, 64, 3)}, BOTH):
        agent = tiny_agent({"agent": name}, spaces=spaces)
        metrics = agent.update(random_batch(2, 4, spaces=spaces))
        assert all(torch.isfinite(v).all() for v in metrics.values())
        used = {n.split(".")[1] for n, p in agent.world_model.named_parameters(prefix="w")}
        assert {f"{key}_encoder" for key in spaces} <= used


def test_updates_do_not_depend_on_the_batch_being_kept():
    """The batch is read, never written."""
    batch = random_batch()
    copy = {name: value.clone() for name, value in batch.items()}
    tiny_agent().update(batch)
    assert all(torch.equal(batch[name], copy[name]) for name in batch)


# --------------------------------------------------------------------------- arithmetic


def test_bfloat16_updates_are_close_to_float32_and_leave_parameters_in_float32():
    results = {}
    for precision in ("float32", "bfloat16"):
        agent = tiny_agent({"training.precision": precision})
        awaken(agent)
        agent.multiplier.multiplier.fill_(0.2)
        metrics = agent.update(random_batch())
        assert all(torch.isfinite(v).all() for v in metrics.values())
        assert {p.dtype for p in agent.parameters()} == {torch.float32}
        results[precision] = metrics
    for name in ("loss/world_model", "loss/value_reward", "loss/q_cost", "loss/reachability"):
        low, full = (results[p][name].item() for p in ("bfloat16", "float32"))
        assert low != full  # the setting does something
        assert low == pytest.approx(full, rel=0.05)


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [({"avx512_f": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"bf16": True}, True)],
)
def test_automatic_precision_is_bfloat16_where_the_processor_has_it(abilities, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert in_bfloat16("auto", torch.device("cpu")) is expected
    assert tiny_agent({"training.precision": "auto"}).low_precision is expected
    assert not in_bfloat16("float32", torch.device("cpu"))
    assert in_bfloat16("bfloat16", torch.device("cpu"))


class Questions(TorchDispatchMode):
    """Counts how often a tensor is asked for its value."""

    count = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.count += operator.overloadpacket.__name__ == "_local_scalar_dense"
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("name", sorted(MODEL_BASED))
def test_an_update_never_waits_for_the_value_of_a_tensor(name, online):
    """On a GPU it could not be captured, and the host would stand still."""
    agent = tiny_agent({"agent": name, "behaviour.cost_limit": 1.0}, spaces=BOTH)
    if online:
        agent.start_online()
    with Questions() as questions:
        agent.update(random_batch(spaces=BOTH))
    assert questions.count == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODEL_BASED))
def test_compiled_updates_have_the_losses_of_eager_ones(name):
    losses = {}
    for compiled in (False, True):
        agent = tiny_agent({"agent": name, "training.compile": compiled})
        losses[compiled] = [agent.update(random_batch(seed=i)) for i in range(2)]
    for eager, fast in zip(losses[False], losses[True], strict=True):
        for name in eager:
            assert fast[name].item() == pytest.approx(eager[name].item(), rel=2e-3, abs=2e-4), name


def test_gradients_are_clipped_at_the_settings_bound():
    agent = tiny_agent({"world_model.gradient_clip": 1e-3})
    seen = []
    step = agent.optimisers["world_model"].adam.step

    def spy() -> None:
        grads = [p.grad for p in agent.world_model.parameters() if p.grad is not None]
        seen.append(torch.cat([g.flatten() for g in grads]).norm().item())
        step()

    agent.optimisers["world_model"].adam.step = spy
    metrics = agent.update(random_batch())
    assert metrics["gradient/world_model"].item() > 1e-2
    assert seen == [pytest.approx(1e-3, rel=1e-3)]


def test_learning_rates_are_the_settings():
    agent = tiny_agent(
        {
            "world_model.learning_rate": 1e-4,
            "behaviour.actor_learning_rate": 2e-4,
            "behaviour.critic_learning_rate": 3e-4,
            "behaviour.reach_learning_rate": 4e-4,
        }
    )
    rates = {name: optimiser.adam.param_groups[0]["lr"] for name, optimiser in agent.optimisers.items()}
    assert rates == {"world_model": 1e-4, "actor": 2e-4, "critics": 3e-4, "reachability": 4e-4}
    agent.start_online()
    assert agent.optimisers["actor"].adam.param_groups[0]["lr"] == 2e-4


# ------------------------------------------------------------------------------- errors


def test_unknown_agents_and_devices_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="no agent 'sac'"):
        make_agent(tiny_config({"agent": "sac"}), {"vector": (2,)}, 1, CPU)
    with pytest.raises(InputError, match="no device 'tpu'"):
        resolve_device("tpu")
    assert resolve_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert resolve_device("auto") == CPU
        with pytest.raises(InputError, match="no GPU"):
            resolve_device("cuda")
