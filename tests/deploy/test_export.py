"""An exported policy acts as its agent does, stands alone, and is refused when damaged."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from fosp.cli import main
from fosp.config import change
from fosp.deploy.export import export_policy
from fosp.deploy.policy import Policy
from fosp.errors import InputError
from fosp.training.offline import pretrain
from fosp.training.online import finetune
from fosp.training.trained import load_trained
from resuming import settings
from tiny import play, write_dataset

AGENTS = ("fosp", "bc", "dreamer", "safe_dreamer")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    data = write_dataset(root / "line", [play(i, 0.9 if i % 2 else None) for i in range(6)])
    write_dataset(root / "held", [play(10 + i, 0.9 if i % 2 else 0.4) for i in range(24)])
    for agent in (*AGENTS, "recovery_rl", "random"):
        pretrain(settings(agent=agent), [data], root / agent)
    finetune(settings(), root / "fosp", root / "online")
    finetune(settings(behaviour__expansion_model="own"), root / "fosp", root / "two-models")
    several = settings(behaviour__candidates=4, behaviour__expansion_price="own")
    pretrain(several, [data], root / "four-candidates")
    finetune(several, root / "four-candidates", root / "eight-candidates")
    foreseeing = change(several, {"behaviour.lookahead": 3, "behaviour.lookahead_samples": 2})
    finetune(foreseeing, root / "four-candidates", root / "foreseen-candidates")
    pretrain(settings(world_model__vector_bins=8), [data], root / "bins")
    return root


@pytest.mark.parametrize(
    "name", [*AGENTS, "online", "two-models", "four-candidates", "eight-candidates", "foreseen-candidates", "bins"]
)
def test_decisions_are_those_of_the_agent(root, tmp_path, name):
    made = export_policy(root / name, tmp_path / "policy")
    assert made.difference <= 1e-5
    policy, agent = Policy(tmp_path / "policy", seed=3), load_trained(root / name, "cpu").agent
    # The agent draws in the same order when its noise is what the policy's own generator gives.
    mine, state = torch.Generator().manual_seed(3), agent.initial_state(1)
    decision = None
    for step in range(8):
        x = np.random.default_rng(step).normal(size=2).astype(np.float32)
        decision = policy({"vector": x}, None if step == 0 else decision.state)
        agent.generator = mine
        noise = torch.rand(agent.world_model.rssm.noise_shape(1), generator=mine)
        with torch.no_grad():
            latents = []
            for model, before in (
                (agent.world_model, state.latent),
                (getattr(agent, "frozen_model", None), state.frozen),
            ):
                if model is None:
                    continue
                seen = model.rssm.posterior_embedding(
                    model.encode(model.targets({"vector": torch.tensor(x).unsqueeze(0)}))
                )
                latents.append(model.rssm.observe_step(before, state.action, seen, torch.tensor([step == 0]), noise))
            assert len(latents) == (2 if name == "two-models" else 1)
            features, zeros = [latent.features for latent in latents], torch.Generator().manual_seed(0)
            decide = agent.policy if len(latents) == 1 else agent.choose
            action, info = decide(*features, "mean", zeros)
        state = state._replace(latent=latents[0], action=action, frozen=latents[1] if len(latents) > 1 else None)
        np.testing.assert_allclose(decision.action, action[0].numpy(), atol=1e-5)
        if "violation" in info:
            assert decision.violation == pytest.approx(info["violation"].item(), abs=1e-5)
        else:
            assert np.isnan(decision.violation)
        assert not decision.alarm


def test_speed_limit_holds_and_is_what_the_model_is_told(root, tmp_path):
    export_policy(root / "bc", tmp_path / "policy", speed=0.05)
    decision = Policy(tmp_path / "policy")({"vector": np.ones(2)})
    assert abs(decision.action).max() <= 0.05
    np.testing.assert_array_equal(decision.state.action[0].numpy(), decision.action)


def test_guard_alarms_above_its_threshold(root, tmp_path):
    made = export_policy(root / "fosp", tmp_path / "policy", calibration=root / "held", false_alarms=0.2)
    assert made.guard is not None
    assert made.guard.safe == made.guard.violating == 12
    path = tmp_path / "policy" / "policy.json"
    facts = json.loads(path.read_text())
    assert facts["threshold"] == made.guard.threshold
    for threshold, alarm in ((-0.1, True), (1.0, False)):
        path.write_text(json.dumps({**facts, "threshold": threshold}))
        assert Policy(tmp_path / "policy")({"vector": np.zeros(2)}).alarm is alarm


def test_the_graph_loads_without_fosp(root, tmp_path):
    export_policy(root / "fosp", tmp_path / "policy")
    code = f"""
import sys, torch
step = torch.export.load({str(tmp_path / "policy" / "step.pt2")!r}).module()
import json; facts = json.load(open({str(tmp_path / "policy" / "policy.json")!r}))
s = facts["state"]
out = step({{"vector": torch.zeros(1, 2)}}, torch.zeros(1, s["h"]), torch.zeros(1, s["z"]), torch.zeros(1, 1),
           torch.tensor([True]), torch.rand(1, s["latents"]))
assert out[0].shape == (1, 1) and not any(m.split(".")[0] in ("fosp", "gymnasium", "mujoco") for m in sys.modules)
"""
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=120)


def test_what_cannot_be_exported_is_said(root, tmp_path, capsys):
    for words, reason in (
        (["--from", str(root / "recovery_rl"), "--out", str(tmp_path / "a")], "cannot be exported"),
        (["--from", str(root / "random"), "--out", str(tmp_path / "a")], "cannot be exported"),
        (["--from", str(root / "none"), "--out", str(tmp_path / "a")], "is missing"),
        (["--from", str(root / "bc"), "--out", str(root)], "is there already"),
        (["--from", str(root / "bc"), "--out", str(tmp_path / "a"), "--speed", "2"], "speed limit"),
        (["--from", str(root / "bc"), "--out", str(tmp_path / "a"), "--calibration", str(root / "held")], "guard with"),
    ):
        assert main(["export", *words]) == 2
        assert reason in capsys.readouterr().err
        assert not (tmp_path / "a").exists()


def test_a_damaged_policy_or_a_wrong_observation_is_refused(root, tmp_path):
    export_policy(root / "bc", tmp_path / "policy")
    policy = Policy(tmp_path / "policy")
    with pytest.raises(InputError, match=r"'vector' is float64 \(3,\)"):
        policy({"vector": np.zeros(3)})
    with pytest.raises(InputError, match="'vector' is missing"):
        policy({})
    with pytest.raises(InputError, match="'vector' is not finite at entry 0"):
        policy({"vector": np.full(policy.spaces["vector"], np.nan)})
    graph = tmp_path / "policy" / "step.pt2"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        Policy(tmp_path / "policy")
    with pytest.raises(InputError, match="holds no policy"):
        Policy(tmp_path)
