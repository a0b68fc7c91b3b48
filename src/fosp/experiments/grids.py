"""The experiments, declared: which agents, on which tasks, from which data, with which settings, at which scale.

A row is one line of a report's table and one curve in its picture; it becomes one run a seed and phase. Rows that ask
for the same run share it, across experiments as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fosp.config import CHOICE_OF_THE_PAPER
from fosp.experiments import paper
from fosp.experiments.paper import Reported
from fosp.report.results import AGENT_NAMES

Phases = Literal["offline", "offline to online", "online", "reference", "reported"]
"""What becomes of a row: pretraining; pretraining and fine-tuning; training from scratch; an evaluation of a scripted
behaviour; nothing, since only the paper's figures are shown."""

Signal = Literal["Reward", "Cost", "Success", "Violation"]
"""What is measured: sums over an episode, and shares of episodes with any reward and with any cost."""

METHODS: dict[str, Phases] = {
    "fosp": "offline to online",
    "bc": "offline",
    "dreamer": "offline to online",
    "safe_dreamer": "offline to online",
    "recovery_rl": "offline to online",
}
"""Agents that are compared. One that is entered here takes part in every comparison."""

STANDARD = {"safe": 200, "unsafe": 200, "random": 200}
"""Episodes of each behaviour in the standard dataset."""


MARKS = (0, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2)
"""Evaluations during online training, as shares of the online budget: those of Table 5 and some between."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    group: str
    """Heading of the table that it stands in."""
    label: str
    agent: str = "fosp"
    """An agent, or the behaviour of a reference."""
    phases: Phases = "offline to online"
    env: str = "SafetyPointGoal1-v0"
    target: str = ""
    """Where it is fine-tuned, if not in `env`."""
    observation: Literal["image", "vector", "both"] = "image"
    data: Mapping[str, int] = field(default_factory=lambda: STANDARD)
    model_data: Mapping[str, int] = field(default_factory=dict)
    """What a shared world model learns from, if not from `data`."""
    model_changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a shared world model alone that differ from the scale's, by dotted name."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the scale's, by dotted name."""
    online: Mapping[str, Any] = field(default_factory=dict)
    """Those of online training alone, on top."""
    frames: float = 1
    """Online budget, in units of the scale's."""
    marks: tuple[float, ...] = MARKS
    """When it is evaluated during online training, in units of the scale's budget."""
    reported: Reported = field(default_factory=dict)
    """The paper's figures."""
    rates: Reported = field(default_factory=dict)
    """The paper's shares of tests with a success and with a violation, in per cent."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One experiment."""

    name: str
    title: str
    shows: str
    """Tables or figures of the paper."""
    text: str
    """What is compared, and how it differs from the paper."""
    rows: tuple[Row, ...]
    marks: tuple[float, ...] = (0, 1)
    """Columns of the table, as shares of the online budget."""
    ours: str = "FOSP"
    """Label of the rows that the others are compared with."""
    signals: tuple[Signal, ...] = ("Reward", "Cost")
    """One table each."""
    headings: Mapping[float, str] = field(default_factory=dict)
    """What the columns are called (default: frames)."""
    side_by_side: bool = False
    """Whether a group's rows, in their order, are the points of one more picture, before and after fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Budgets, on top of those of the preset of the same name."""

    seeds: int
    data: float
    """Share of the declared episodes, at least one of each behaviour."""
    evaluations: int
    """Evaluations during offline training."""
    episodes: int
    """Episodes of the evaluation that ends a run."""
    model_updates: int = 0
    """Updates of one world model for each dataset and seed, on which all agents are then pretrained; 0: each agent
    learns its own, as in the paper."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    online: Mapping[str, Any] = field(default_factory=dict)
    """Settings of online training only: changing them leaves what was pretrained as it is."""


SCALES = {
    "test": Scale(
        seeds=1, data=0.01, evaluations=2, episodes=2, model_updates=10, online={"training.online_frames": 1_000}
    ),
    "laptop": Scale(
        seeds=1,
        data=1,
        evaluations=4,
        episodes=20,
        model_updates=12_000,
        changes={
            # The preset's choice among foreseen candidates has rows of its own.
            **{f"behaviour.{name}": value for name, value in CHOICE_OF_THE_PAPER.items()},
            "training.batch_size": 8,
            "training.offline_updates": 6_000,
            "training.model_updates": 0,
            "training.evaluation_episodes": 5,
            "training.precision": "auto",
            # A twelfth of the paper's arithmetic an action, which has 1.6 actions/s on two cores.
            "safe_dreamer.plan_samples": 120,
            "safe_dreamer.plan_actor_samples": 10,
            "safe_dreamer.plan_elites": 20,
            "safe_dreamer.plan_horizon": 8,
            "safe_dreamer.plan_iterations": 4,
        },
        online={
            "behaviour.multiplier_limit": 0.0,
            "safe_dreamer.multiplier_limit": 0.0,
            "training.online_frames": 20_000,
            "training.train_ratio": 64.0,
        },
    ),
    "paper": Scale(seeds=5, data=1, evaluations=10, episodes=20),
}

ONLINE_ONLY = (
    "behaviour.expansion",
    "behaviour.expansion_price",
    "behaviour.online_actions",
    "behaviour.candidates",
    "behaviour.lookahead",
    "behaviour.lookahead_samples",
    "behaviour.lookahead_lambda",
    "behaviour.price",
    "behaviour.price_rate",
    "behaviour.cost_limit",
    "behaviour.excess_limit",
    "training.online_weight",
)
"""Settings that offline training never reads: pretraining without them is the full method's."""

MODEL_SETTINGS = ("env.", "world_model.", "training.mirror", "training.cooldown")
"""How the names of settings begin that decide what a shared world model becomes."""

ABLATIONS: dict[str, dict[str, Any]] = {
    "FOSP": {},
    "(i) without in-sample optimisation": {"behaviour.insample": False},
    "(ii) without policy expansion": {"behaviour.expansion": False},
    "(iii) without reachability": {"behaviour.reachability": False},
    "(iv) without augmented Lagrangian": {"behaviour.augmented_lagrangian": False},
}

WHAT_PROTECTS = ("(ii) without policy expansion", "(iii) without reachability")
"""Of the components, those that are to keep fine-tuning safe."""

GOAL1, GOAL2 = "SafetyPointGoal1-v0", "SafetyPointGoal2-v0"
RACE = "SafetyPointRace2-v0"


def short(env: str) -> str:
    """An environment's id as the paper writes it: SafetyPointGoal1-v0 is PointGoal1."""
    return env.removeprefix("Safety").removesuffix("-v0").replace(":", "_").replace("/", "_")


def _mixed(safe: int, unsafe: int, random: int) -> dict[str, int]:
    return {"safe": safe, "unsafe": unsafe, "random": random}


def _compared(env: str, **more: Any) -> tuple[Row, ...]:
    """One row for every method of ours and for every one that only the paper has."""
    reported = paper.TABLE1.get(env, {})
    ours = (
        Row(group=short(env), label=AGENT_NAMES[agent], agent=agent, phases=phases, env=env,
            reported=reported.get(agent, {}), **more)
        for agent, phases in METHODS.items()
    )  # fmt: skip
    theirs = (
        Row(group=short(env), label=paper.NAMES[agent], agent=agent, phases="reported", env=env, reported=figures)
        for agent, figures in reported.items()
        if agent not in METHODS
    )
    return (*ours, *theirs)


FORESEEN = {
    "behaviour.candidates": 8,
    "behaviour.lookahead": 5,
    "behaviour.expansion_price": "own",
    "behaviour.online_actions": "recorded",
    "training.online_weight": 10.0,
}
"""The choice of the preset `laptop`: more to choose from, each followed in the world model before it is judged, at a
price of costs that falls with every episode without one; and the robot's own steps count ten times
(docs/results.md)."""

FORESEEN_ABLATIONS = {
    "Foreseen candidates": FORESEEN,
    "the same without policy expansion": FORESEEN | {"behaviour.expansion": False},
    "the same without reachability": FORESEEN | {"behaviour.reachability": False},
}

TWICE: dict[str, Any] = {"frames": 2, "marks": (0, 1)}
"""For twice the online budget, with an evaluation before and one halfway."""

VECTOR_MODEL = {"training.batch_size": 16}
"""From vectors a world model of twice the scale's batch takes no longer than one from pictures."""


def _from_vectors(env: str) -> tuple[Row, ...]:
    """Our methods once more, with sensors and lidar in place of pictures."""
    return tuple(
        dataclasses.replace(
            row, group=f"{short(env)} from vectors", observation="vector", model_changes=VECTOR_MODEL, reported={}
        )
        for row in _compared(env)
        if row.phases != "reported"
    )


ONLINE: dict[str, tuple[str, float, dict[str, Any]]] = {
    "SafeDreamer with planning": (
        "safe_dreamer", 1, {"safe_dreamer.variant": "osrp_lag", "safe_dreamer.cost_limit": 2.0}
    ),
    "CPO": ("cpo", 20, {}),
    "PPO-Lagrangian": ("ppo_lagrangian", 20, {}),
}  # fmt: skip
"""Agents that are trained from scratch in Table 2, by the name of their row: for how many of the scale's budgets (half
a million and ten million frames in the paper), and how they are set."""


def _online_only(env: str) -> tuple[Row, ...]:
    """One row for every online method of ours and for every one that only the paper has."""
    rows = []
    for label, figures in paper.TABLE2[env].items():
        agent, frames, changes = ONLINE.get(label, ("", 1, {}))
        rows.append(
            Row(group=short(env), label=label, agent=agent, phases="online" if agent else "reported", env=env,
                changes=changes, frames=frames, marks=(*MARKS, 5, 10), reported={frames: figures})
        )  # fmt: skip
    return tuple(rows)


def _tuned_and_direct(
    group: str, env: str, tuned: Reported | None = None, direct: Reported | None = None, **seen: Any
) -> tuple[Row, Row]:
    """FOSP fine-tuned, and from scratch for twice as long."""
    model = VECTOR_MODEL if seen.get("observation") == "vector" else {}
    return (
        Row(group=group, label="Fine-tuned", env=env, model_changes=model, reported=tuned or {}, **seen),
        Row(group=group, label="Direct online", env=env, phases="online", frames=2, reported=direct or {}, **seen),
    )


def _learning(observation: Literal["image", "vector"]) -> tuple[Row, ...]:
    group = {"image": "From pictures", "vector": "From vectors"}[observation]
    seen: dict[str, Any] = {
        "group": group, "observation": observation, "model_changes": VECTOR_MODEL if observation == "vector" else {},
    }  # fmt: skip
    return (
        Row(group=group, label="Random actions", agent="random", phases="reference"),
        Row(group=group, label="Behaviour safe (privileged state)", agent="safe", phases="reference"),
        Row(group=group, label="Behaviour unsafe (privileged state)", agent="unsafe", phases="reference"),
        Row(label="Behaviour cloning", agent="bc", phases="offline", **seen),
        *(
            Row(label=label, changes=changes, **seen, **({} if observation == "image" else TWICE),
                reported=paper.TABLE1[GOAL1]["fosp"] if (label, observation) == ("FOSP", "image") else {})
            for label, changes in ABLATIONS.items()
        ),
        *(Row(label=label, changes=changes, **seen, **TWICE) for label, changes in FORESEEN_ABLATIONS.items()),
    )  # fmt: skip


MIXTURES = {
    "Safe and unsafe episodes": {
        "safe only": _mixed(600, 0, 0),
        "safe : unsafe 2 : 1": _mixed(400, 200, 0),
        "safe : unsafe 1 : 1": _mixed(300, 300, 0),
        "safe : unsafe 1 : 2": _mixed(200, 400, 0),
        "unsafe only": _mixed(0, 600, 0),
    },
    "Random episodes": {
        "safe : random 1 : 1": _mixed(300, 0, 300),
        "unsafe : random 1 : 1": _mixed(0, 300, 300),
    },
    "Size": {
        "smaller: 300 episodes": _mixed(100, 100, 100),
        "standard: 600 episodes": STANDARD,
        "larger: 900 episodes": _mixed(300, 300, 300),
    },
}
"""Datasets by what is varied: episodes of each behaviour."""


def _mixtures(observation: Literal["image", "vector"]) -> tuple[Row, ...]:
    """FOSP on SafetyPointGoal2 from every dataset."""
    pictures = observation == "image"
    return tuple(
        Row(group=group if pictures else f"{group}, from vectors", label=label, env=GOAL2, data=data,
            observation=observation, model_changes={} if pictures else VECTOR_MODEL,
            reported=paper.TABLE1[GOAL2]["fosp"] if pictures and data == STANDARD else {})
        for group, datasets in MIXTURES.items()
        for label, data in datasets.items()
    )  # fmt: skip


TELEOPERATED = {"safe-success": 120, "safe-failure": 30, "unsafe-success": 40, "unsafe-failure": 10}
"""Episodes of each class in SafeReach's dataset; the paper's proportions."""

TRAJECTORIES = {
    "training.online_frames": 40 * 80,
    "training.evaluation_episodes": 20,
    "training.cooldown": 0.0,
    "world_model.foresight": 0,
    "world_model.vector_bins": 0,
    "world_model.cost_scale": 1.0,
    "world_model.beta_representation": 0.1,
    "safe_dreamer.penalty": 1e-3,
    "behaviour.penalty_scale": "none",
}
"""Settings of every run on SafeReach; what lets a model see and rest on the Point, and SafeDreamer drive, has not been
tried there."""

AFTER_EACH = {
    "training.updates_per_episode": 30,
    "training.finetuning_learning_rate": 0.0,
    "world_model.learning_rate": 1e-4,
    "behaviour.expansion_model": "own",
    "behaviour.cost_limit": 0.0,
}
"""Those of its fine-tuning: updates after each trajectory; both actors see by a model that they know; lambda_p stays as
it is, since with a limit it went from 3 to 28 and outgrew the reward (docs/results/settings.md). Step sizes are those
that its figures were made with."""

FINE_STEPS = {
    "behaviour.advantage": "return",
    "behaviour.lagrangian": "weight",
    "behaviour.actor_average": 0.002,
    "behaviour.multiplier": 3.0,
    "behaviour.penalty": 1e-5,
    "behaviour.horizon": 10,
    "behaviour.lambda_": 1.0,
    "training.batch_size": 4,
    "training.sequence_length": 64,
}
"""FOSP's on SafeReach, where a step of a centimetre decides so little that Q does not tell actions apart: they are
weighed by the outcome of their sequence, most of an episode, for reward and for cost (docs/results/settings.md)."""


def _reach(env: str) -> tuple[Row, ...]:
    """Yardsticks and methods on one of SafeReach's tasks; without fine-tuning on the first, that of the data."""
    target = "" if env == "SafeReach-v0" else env
    trained: dict[str, Any] = {
        "group": short(env), "env": "SafeReach-v0", "target": target, "observation": "both", "marks": (0, 0.5),
    }  # fmt: skip
    phases: Phases = "offline to online" if target else "offline"
    methods = [agent for agent in ("fosp", "safe_dreamer") if agent in METHODS]
    return (
        *(
            Row(group=short(env), label=label, agent=behaviour, phases="reference", env=env, data={})
            for label, behaviour in {"Random actions": "random", "Operator (privileged state)": "safe-success"}.items()
        ),
        Row(label="Behaviour cloning of safe successes", agent="bc", phases=phases, frames=0,
            data={"safe-success": TELEOPERATED["safe-success"]}, model_data=TELEOPERATED, changes=TRAJECTORIES,
            **trained),
        *(
            Row(label=AGENT_NAMES[agent], agent=agent, phases=phases, data=TELEOPERATED,
                changes=TRAJECTORIES | (FINE_STEPS if agent == "fosp" else {}), online=AFTER_EACH,
                rates=paper.TABLE3.get(target, {}) if agent == "fosp" else {}, **trained)
            for agent in methods
        ),
    )  # fmt: skip


_ALL = (
    Grid(
        name="learning",
        title="Learning on SafetyPointGoal1",
        shows="Table 1 and Figure 4, in small",
        text="From pictures, fine-tuned for the online budget, and from vectors, for twice as long and on models of "
        "twice the batch: the behaviours that made the data, behaviour cloning, FOSP, whole and without each of its "
        "components, and (not the paper; for twice as long from pictures, too) with eight candidates of each actor "
        "that are followed for five steps in the world model, at a price of costs that falls with every episode "
        "without one, and the robot's own steps learned from ten times as often as the data's.",
        rows=(*_learning("image"), *_learning("vector")),
        marks=(0, 1, 2),
    ),
    Grid(
        name="table1",
        title="Offline to online on five tasks",
        shows="Table 1, Figure 3",
        text="Pretrained on 600 episodes, a third from each behaviour, then fine-tuned. On the first task from vectors "
        "as well, which the paper does not have, on a model of twice the batch.",
        rows=(*(row for env in paper.TABLE1 for row in _compared(env)), *_from_vectors(GOAL1)),
    ),
    Grid(
        name="table2",
        title="Online training from scratch",
        shows="Table 2",
        text="Methods that see no data. SafeDreamer plans in its world model while it acts (OSRP-Lag, a cost limit of "
        "2 an episode; at scale `laptop` 4 iterations of 120 plans of 8 steps), for the online budget of Table 1; CPO "
        "and PPO-Lagrangian learn for twenty times as long, as in the paper.",
        rows=tuple(row for env in paper.TABLE1 for row in _online_only(env)),
        marks=(1, 20),
        ours="SafeDreamer with planning",
    ),
    Grid(
        name="table5",
        title="Fine-tuning against direct online training",
        shows="Table 5",
        text="Direct online: FOSP from scratch for twice the online budget, without data and without an offline actor, "
        "with the losses of fine-tuning and one actor that learns and acts. The paper says no more than that it was "
        "trained online directly. On the first task from vectors as well, which the paper does not have.",
        rows=(
            *(row for env in paper.TABLE1 for row in _tuned_and_direct(
                short(env), env, paper.TABLE5_FINETUNED[env], paper.TABLE5_DIRECT[env])),
            *_tuned_and_direct(f"{short(GOAL1)} from vectors", GOAL1, observation="vector"),
        ),
        marks=(0, 0.04, 0.1, 0.2, 0.6, 1, 2),
        ours="Fine-tuned",
    ),
    Grid(
        name="ablation-modules",
        title="FOSP without each of its components",
        shows="Figure 4",
        text="On SafetyPointGoal2. The paper draws curves and gives no figures but those of the whole method. From "
        "vectors as well, which the paper does not have, fine-tuned for twice as long, and there with eight candidates "
        "of each actor that are followed for five steps in the world model, and the robot's own steps learned from ten "
        "times as often as the data's, which is not the paper's either (the first column of these rows is the same "
        "agent acting without a choice).",
        rows=(
            *(
                Row(group=short(GOAL2), label=label, env=GOAL2, changes=changes,
                    reported={} if changes else paper.TABLE1[GOAL2]["fosp"])
                for label, changes in ABLATIONS.items()
            ),
            Row(group=f"{short(GOAL2)} from vectors", label=AGENT_NAMES["bc"], agent="bc", phases="offline", env=GOAL2,
                observation="vector", model_changes=VECTOR_MODEL),
            *(
                Row(group=f"{short(GOAL2)} from vectors", label=label, env=GOAL2, changes=changes,
                    observation="vector", model_changes=VECTOR_MODEL, **TWICE)
                for label, changes in (ABLATIONS | FORESEEN_ABLATIONS).items()
            ),
        ),
        marks=(0, 1, 2),
    ),
    Grid(
        name="ablation-data",
        title="What the data hold",
        shows="Figures 6, 15, 16, 17",
        text="On SafetyPointGoal2: the share of safe and unsafe episodes among 600, what random episodes add, and the "
        "size of the standard mixture. The paper shows five ratios in a picture without figures; those between the "
        "pure ones are ours. It fine-tunes for 0.7 to 0.8 million frames in Figures 15 to 17, and for half a million "
        "in Figure 6, as here. From vectors as well, which the paper does not have.",
        rows=(*_mixtures("image"), *_mixtures("vector")),
        ours="standard: 600 episodes",
        side_by_side=True,
    ),
    Grid(
        name="transfer",
        title="Fine-tuning on tasks that the data do not hold",
        shows="Figures 5, 18, 19, 20",
        text="Pretrained on SafetyPointGoal1 and fine-tuned elsewhere; the first column is the agent before its first "
        "episode there. On SafetyPointGoal2 without the two components that are to keep fine-tuning safe, too, which "
        "is ours. The paper shows pictures without figures.",
        rows=tuple(
            Row(group=f"{short(GOAL1)} to {short(target)}", label=label, agent=agent, target=target, changes=changes)
            for target in (
                GOAL2, "SafetyPointFadingEasy1-v0", "SafetyPointFadingHard1-v0", "SafetyPointBuildingGoal1-v0"
            )
            for label, agent, changes in (
                (AGENT_NAMES["fosp"], "fosp", {}),
                (AGENT_NAMES["safe_dreamer"], "safe_dreamer", {}),
                *((label, "fosp", ABLATIONS[label]) for label in WHAT_PROTECTS if target == GOAL2),
            )
        ),
    ),
    Grid(
        name="safereach",
        title="SafeReach: fine-tuning by single trajectories",
        shows="Table 3",
        text="A simulated arm touches a target between obstacles (docs/safe_reach.md). Pretrained on 200 teleoperated "
        "episodes (120 safe successes, 30 safe failures, 40 unsafe successes, 10 unsafe failures), then fine-tuned on "
        "tasks that the data do not hold: 40 trajectories, 30 updates after each (the paper writes of 40 gradient "
        "steps in all; one after each trajectory changes nothing that 20 tests could show). Success and violation: "
        "shares of 20 tests on fixed layouts with any reward and with any cost, before the end of a training as well. "
        "FOSP's batches are 4 x 64. Behaviour cloning sees the safe successes only, and the operator sees where "
        "everything stands.",
        rows=(*_reach("SafeReach-v0"), *(row for target in paper.TABLE3 for row in _reach(target))),
        marks=(0, 0.5, 1),
        signals=("Success", "Violation", "Reward", "Cost"),
        headings={0: "before", 0.5: "after 20 trajectories", 1: "after 40 trajectories"},
    ),
    Grid(
        name="race",
        title="Race",
        shows="Figure 22",
        text="Level 2. The paper does not say which robot; here it is the Point, with both cameras instead of one. Its "
        "data hold safe episodes as well; the scripted safe behaviour cannot plan around walls, so that half of ours "
        "are unsafe and half random. The paper shows a picture without figures.",
        rows=tuple(
            Row(group=short(RACE), label=AGENT_NAMES[agent], agent=agent, phases=METHODS[agent], env=RACE,
                data=_mixed(0, 300, 300))
            for agent in ("fosp", "safe_dreamer", "bc")
        ),
    ),
)  # fmt: skip
GRIDS = {grid.name: grid for grid in _ALL}
