"""Every setting once: its name here is its name on the command line, in the logs and in the docs.

The presets are `test` (seconds), `laptop` (two cores, hours) and `paper` (Table 4 of the paper). A run saves its
settings as ``config.yaml`` and is restored from that file.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from fosp.agent_config import DreamerConfig, OnPolicyConfig, RecoveryConfig, SafeDreamerConfig
from fosp.errors import InputError
from fosp.settings import build_settings, check_settings, read_yaml

CONFIG_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Which environment, and what the agent sees of it."""

    id: str = "SafetyPointGoal1-v0"
    """Environment id (see `fosp envs`)."""
    observation: Literal["image", "vector", "both"] = "image"
    """What the agent sees: 64x64 pictures, a vector (sensors and lidar, or the arm's pose), or both."""
    action_repeat: int = 4
    """Frames for which one action is held; rewards and costs are summed over them."""
    time_limit: int = 1000
    """Frames in an episode; used for the bounds Q* and C* of Eq. 22."""

    @property
    def steps(self) -> int:
        """Agent steps in an episode that lasts until the time limit."""
        return -(-self.time_limit // self.action_repeat)

    def __post_init__(self) -> None:
        check_settings(self, "env.")
        for name, value in _fixed(self.id).items():
            if getattr(self, name) != value:
                raise InputError(f"Setting env.{name} is {getattr(self, name)}, but {self.id} has {value} only.")


REACH = {"action_repeat": 1, "time_limit": 80}
"""Settings that the SafeReach tasks do not leave open: a frame is a control step, and an episode has 80."""


def env_config(env_id: str) -> EnvConfig:
    """The default settings of an environment; those of SafeReach see pictures and pose, and a race has 500 frames."""
    if fixed := _fixed(env_id):
        return EnvConfig(id=env_id, observation="both", **fixed)
    race = re.fullmatch(r"Safety[A-Za-z]+Race\d-v\d+", env_id.removeprefix("fosp/")) is not None
    return EnvConfig(id=env_id, time_limit=500 if race else EnvConfig.time_limit)


def _fixed(env_id: str) -> Mapping[str, int]:
    return REACH if env_id.removeprefix("fosp/").startswith(("SafeReach", "franka:")) else {}


@dataclass(frozen=True, kw_only=True)
class WorldModelConfig:
    """The recurrent state-space model of Eq. 1 (DreamerV3's, with a cost head)."""

    deterministic: int = 192
    """Size of the recurrent state h."""
    latents: int = 32
    """Number of categorical variables in z."""
    classes: int = 16
    """Classes of each categorical variable."""
    units: int = 192
    """Width of hidden layers."""
    head_layers: int = 2
    """Hidden layers of the reward, cost and continuation heads."""
    vector_layers: int = 2
    """Hidden layers of the encoder and decoder of vector observations."""
    cnn_depth: int = 16
    """Channels after the first halving of the picture; doubled at each of the four halvings."""
    patch: Literal[1, 2, 4, 8] = 4
    """Side of the squares of pixels that one dense layer reads in place of the first halvings; 1: convolutions all the
    way, as in DreamerV3."""
    unimix: float = 0.01
    """Share of the uniform distribution mixed into every categorical."""
    free_nats: float = 1.0
    """KL below this many nats is not penalised (each of the two terms)."""
    beta_dynamics: float = 0.5
    """Weight of KL(sg q || p), which trains the prior."""
    beta_representation: float = 0.01
    """Weight of KL(q || sg p), which trains the posterior. The paper's is 0.1; at a tenth of it the latents hold more,
    where hazards are among the rest."""
    vector_standardise: bool = True
    """Scale each entry of vector observations to unit variance over the data: signals as small as lidar's are otherwise
    not worth their nats and are left out of the latents. Off: symlog alone, as in DreamerV3."""
    vector_bins: int = 16
    """Bins over the range of each entry of vector observations, which the encoder sees beside the entry itself: of what
    48 lidar readings tell, the boundary of a hazard is a few hundredths in one of them. 0: none, as in DreamerV3."""
    foresight: int = 5
    """Steps for which the prior is rolled forward along recorded actions, so that the heads learn reward and cost there
    as well; 0: they see posterior states only, as in the paper, and miss costs in what is imagined."""
    cost_scale: float = 10.0
    """Weight of the cost head's loss among the model's: where a hazard begins is worth a tenth of a nat, and latents
    hold what is worth more first. 1 in the paper. Unlike `cost_weight` it weighs all steps alike."""
    cost_weight: float = 1.0
    """Weight of steps with cost >= 1 in the cost head's loss."""
    learning_rate: float = 1e-3
    """Adam step size."""
    gradient_clip: float = 1000.0
    """Largest gradient norm."""


@dataclass(frozen=True, kw_only=True)
class BehaviourConfig:
    """Actor, critics, reachability and multiplier: sections 4.1 to 4.3 of the paper."""

    layers: int = 2
    """Hidden layers of actor, critics and reachability head."""
    units: int = 192
    """Width of those layers."""
    horizon: int = 5
    """Imagined steps H."""
    start_every: int = 4
    """Imagined rollouts start from every so many-th step of a sequence; 1: from all of them, as in the paper."""
    gamma: float = 0.98
    """Discount per agent step."""
    lambda_: float = 0.95
    """TD(lambda) mixing of Eq. 8, for reward and cost."""
    reward_expectile: float = 0.8
    """kappa of Eq. 7 for V_r; above 0.5 leans to the better actions of the data."""
    cost_expectile: float = 0.5
    """kappa of Eq. 7 for V_c: 0.8 is the paper's (pessimistic), 0.2 the value of the safest action in the data."""
    advantage: Literal["critic", "return"] = "critic"
    """Advantages of the data's actions. critic: Q - V (the paper's). return: TD(lambda) of what really followed
    in the sequence, minus V; where a single step decides little, Q cannot tell actions apart, but outcomes do.
    What really followed is known of recorded actions only: online_actions is then recorded."""
    beta_reward: float = 5.0
    """beta_1 of Eqs. 19 and 23."""
    beta_cost: float = 5.0
    """beta_2 of Eqs. 19 and 23."""
    advantage_scale: Literal["return", "advantage"] = "advantage"
    """What advantages are divided by: the 5-95 percentile range of returns (the paper's) or of advantages."""
    weight_clip: float = 100.0
    """Largest value of either exponential in Eq. 19."""
    entropy: float = 3e-4
    """eta of Eq. 20."""
    slow_critic_rate: float = 0.02
    """Share of the critic moved into its slow copy at every update."""
    reach_gamma: float = 0.9
    """gamma_u, discount of the reachability backup. At the paper's 0.99, data that are mostly unsafe make nearly every
    state infeasible; at 0.9 the head tells those within some ten steps of a violation."""
    reach_threshold: float = 0.5
    """Predicted cost above which an imagined state counts as a violation."""
    reach_initial: float = 0.02
    """Violation probability of the untrained head: the backup's max forgets a higher start only slowly."""
    lagrangian: Literal["gradient", "weight"] = "gradient"
    """How the multiplier reaches the actor. gradient: of Phi at actions of its own, through Q_c (the paper's). weight:
    A_r in the weights of log pi becomes (A_r - lambda_p A_c) / (1 + lambda_p), so that nothing is asked of Q_c about
    actions that nobody took."""
    penalty_scale: Literal["none", "value"] = "value"
    """What costs are divided by where lambda_p weighs them (Eqs. 17 and 27). none: by nothing (the paper's). value: by
    the moving 5-95 percentile range of V_c over the replay's states, or 1 if that is larger, as advantages are, so that
    one penalty serves tasks whose costs differ. With lagrangian weight, whose advantages are scaled: none."""
    multiplier: float = 0.01
    """lambda_p at the start (Eq. 17)."""
    multiplier_limit: float = 70.0
    """Largest lambda_p that Eq. 27 climbs to (0: none, as in the preset paper). Costs in the data keep V_c above 0, so
    that without a limit it climbs as long as training lasts, until nothing but standing still is cheap enough."""
    cost_limit: float = 1.0
    """Cost that an episode may have online: the multiplier climbs or falls by how far the robot's own episodes are
    above or below it (dual ascent). 0, the paper's: Eq. 27 on V_c, by which it only climbs, since V_c is never 0."""
    cost_limit_rate: float = 10.0
    """How far the multiplier moves for an excess of 1, divided as `penalty_scale` says, in an episode (cost_limit >
    0)."""
    excess_limit: float = 20.0
    """Largest excess of one episode that counts there (0: none): a robot that once is stuck where it costs would stand
    still for a hundred episodes after it."""
    penalty: float = 0.1
    """mu at the start (Eq. 17). The multiplier climbs by mu/2 times V_c (divided as `penalty_scale` says) an update,
    without end, so that mu goes with the number of updates: this counts on six thousand, the paper's 1e-6, of costs as
    they are, on 125,000. With `multiplier_limit` the dial between reward and safety: docs/results/settings.md."""
    penalty_growth: float = 5e-9
    """nu of Eq. 27: relative growth of mu per update."""
    expansion_inverse_temperature: float = 2000.0
    """1 / alpha of Eq. 21. The bounds of Eq. 22 shrink the difference between two candidates to about 0.0005, so that
    the paper's 10 is a coin toss."""
    expansion_price: Literal["bounds", "multiplier", "own"] = "own"
    """What a cost weighs in the choice between candidates. bounds: Q* / C* rewards (Eq. 22), a quarter of one on
    SafetyPointGoal1, whatever the robot's own episodes cost; multiplier: lambda_p rewards, as in the actor's loss;
    own: `price` rewards, as a choice, which no weight of the data's actions opposes, needs less than the loss."""
    price: float = 7.0
    """Rewards that a cost weighs at first, of costs divided as `penalty_scale` says (expansion_price own)."""
    price_rate: float = 1.0
    """How far that price moves for an excess of 1, so divided, in an episode (cost_limit > 0)."""
    candidates: int = 8
    """Actions that each actor offers. The paper's: 1, so that offline there is no choice. With more, the best of the
    policy's own actions is taken, offline too."""
    lookahead: int = 5
    """Steps for which every candidate is followed in the world model before Q judges where it has led. 0, the paper's:
    Q judges the candidate itself."""
    lookahead_samples: int = 4
    """Futures of each candidate that are averaged (lookahead > 0)."""
    lookahead_lambda: float = 0.8
    """Weight of what follows against Q's word in every state on the way, the candidate's own among them: TD(lambda). 1:
    Q is asked at the end alone."""
    online_actions: Literal["imagined", "recorded"] = "recorded"
    """Whose actions the new actor learns from. imagined: its own, in rollouts (Eq. 23); recorded: those in the replay,
    its own episodes' among them, as offline (Eqs. 19 and 20), which keep it from giving up the reward."""
    expansion_start: Literal["fresh", "copy"] = "copy"
    """New actor of the expansion: fresh parameters (the paper's), or starting as a copy of the offline actor."""
    expansion_model: Literal["shared", "own"] = "shared"
    """What the frozen actor sees by: the world model that goes on learning, whose states it knows less and less, or its
    own, kept as it was when offline training ended (twice the work of seeing). The paper has one model."""
    actor_learning_rate: float = 3e-4
    """Adam step size of the actor."""
    actor_average: float = 0.0
    """Share of the actor (FOSP's and behaviour cloning's) moved at every update into a running average, which acts in
    its place: single updates on small batches swing a policy that must be precise. 0: the actor itself, as in the
    paper."""
    critic_learning_rate: float = 3e-4
    """Adam step size of the critics."""
    reach_learning_rate: float = 3e-4
    """Adam step size of the reachability head; the paper puts it above the actor's and below the multiplier's."""
    gradient_clip: float = 100.0
    """Largest gradient norm of actor, critics and reachability head."""
    insample: bool = True
    """Ablation (i): off means V is the mean over the policy's own actions, without expectile and Eq. 10."""
    expansion: bool = True
    """Ablation (ii): off means the offline actor itself is fine-tuned."""
    reachability: bool = True
    """Ablation (iii): off means the weights keep both advantage terms without the feasibility u."""
    augmented_lagrangian: bool = True
    """Ablation (iv): off means the penalty is a feasible value (discounted reach-avoid backup on the cost signal)."""

    def __post_init__(self) -> None:
        if self.lagrangian == "weight" and not self.augmented_lagrangian:
            raise InputError(
                "Setting behaviour.augmented_lagrangian is False, which changes nothing where behaviour.lagrangian is "
                "'weight': set that to 'gradient'."
            )
        if self.lagrangian == "weight" and self.penalty_scale != "none":
            raise InputError(
                "Setting behaviour.penalty_scale is 'value', but where behaviour.lagrangian is 'weight' advantages are "
                "scaled already: set it to 'none', and behaviour.penalty for costs as they are (such as 1e-5)."
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Budgets and bookkeeping of the loops."""

    batch_size: int = 16
    """Sequences in a batch."""
    sequence_length: int = 16
    """Steps in a sequence."""
    model_updates: int = 12_000
    """Gradient updates that teach the world model alone, which then stays as it is while the behaviour learns on it:
    cheaper, and nothing is learned from a model that knows nothing yet. 0, as in the presets test and paper: both learn
    from the first update to the last."""
    world_model: str = ""
    """Run whose world model is taken over in place of those updates, so that methods can be compared on one model;
    empty: it is learned. Fine-tuning always goes on learning it."""
    offline_updates: int = 6_000
    """Gradient updates of the behaviour before going online."""
    cooldown: float = 0.25
    """Share of the offline updates, the last ones of the world model's and of the behaviour's, over which step sizes
    fall to nothing: networks that small batches push about come to rest. 0: none, as in the paper."""
    finetuning_learning_rate: float = 1e-4
    """Adam step size of every network in fine-tuning, small since what has come to rest is not to be shaken. 0: each
    has its own, as offline, which is the paper's."""
    mirror: Literal["auto", "on", "off"] = "auto"
    """Show every other sequence in the mirror, left and right exchanged: twice the data, where the task has this
    symmetry (SafeReach; the Point where nothing stands in a fixed place). auto: where it is known of the environment.
    Not in the paper."""
    online_weight: float = 1.0
    """How many times as often fine-tuning learns from a step of the robot's own as from one of the data, at least 1. 1:
    as often, which is the paper's."""
    online_frames: int = 50_000
    """Environment frames of online training."""
    prefill_episodes: int = 5
    """Episodes of random actions that an agent trained online from scratch starts with."""
    train_ratio: float = 128.0
    """Replayed steps per agent step online: updates per agent step are train_ratio / (batch_size * sequence_length)."""
    updates_per_episode: int = 0
    """Updates after every episode online, in place of those that train_ratio grants; 0: train_ratio decides."""
    environments: int = 1
    """Environments that play episodes at once, in evaluations as well."""
    replay_steps: int = 400_000
    """Observations that the replay holds (24 KiB each for two pictures of 64x64, allocated as they come)."""
    evaluate_every: int = 4_000
    """Updates between evaluations (0: only at the end of a phase)."""
    evaluate_at: tuple[int, ...] = ()
    """Frames of online training at which there is an evaluation as well (0: before the first episode)."""
    evaluation_episodes: int = 10
    """Episodes per evaluation, on fixed seeds; 0: no evaluations, so that pretraining needs no environment."""
    log_every: int = 100
    """Updates between log lines."""
    checkpoint_every: int = 500
    """Updates between checkpoints."""
    threads: int = 0
    """CPU threads (0: PyTorch's own choice)."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Arithmetic of matrix products; bfloat16 keeps norms and losses in float32. auto: bfloat16 where the processor has
    instructions for it, which takes a third from an update there; without them it is slower."""
    capture: bool = True
    """On a GPU, launch each update as one CUDA graph: the same arithmetic, several times faster."""
    compile: bool = False
    """Compile the losses with torch.compile: minutes at the start, faster afterwards."""

    @property
    def updates_without_behaviour(self) -> int:
        """Gradient updates of the world model alone that come first in offline training."""
        return 0 if self.world_model else self.model_updates


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run."""

    agent: str = "fosp"
    """Algorithm: fosp, random, bc, dreamer, safe_dreamer, recovery_rl, ppo_lagrangian or cpo."""
    preset: str = "laptop"
    """Preset these settings started from."""
    seed: int = 0
    """Seed of everything random in the run."""
    device: str = "auto"
    """auto, cpu or cuda."""
    env: EnvConfig = field(default_factory=EnvConfig)
    world_model: WorldModelConfig = field(default_factory=WorldModelConfig)
    behaviour: BehaviourConfig = field(default_factory=BehaviourConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    dreamer: DreamerConfig = field(default_factory=DreamerConfig)
    safe_dreamer: SafeDreamerConfig = field(default_factory=SafeDreamerConfig)
    recovery_rl: RecoveryConfig = field(default_factory=RecoveryConfig)
    on_policy: OnPolicyConfig = field(default_factory=OnPolicyConfig)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.behaviour.start_every > self.training.sequence_length:
            raise InputError(
                f"Setting behaviour.start_every is {self.behaviour.start_every}: it must not exceed "
                f"training.sequence_length, {self.training.sequence_length}."
            )
        if self.world_model.foresight >= self.training.sequence_length:
            raise InputError(
                f"Setting world_model.foresight is {self.world_model.foresight}: it must be below "
                f"training.sequence_length, {self.training.sequence_length}."
            )


def preset(name: str) -> Config:
    """The settings of preset `name`; raises `InputError` for an unknown one."""
    if name not in PRESETS:
        raise InputError(f"There is no preset '{name}'; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def change(config: Config, changes: Mapping[str, Any]) -> Config:
    """A copy of `config` with settings replaced by their dotted names, as in {"behaviour.gamma": 0.9, "seed": 1}."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        group, _, field = name.rpartition(".")
        groups.setdefault(group, {})[field] = value
    top = groups.pop("", {})
    nested = {group: dataclasses.replace(getattr(config, group), **values) for group, values in groups.items()}
    return dataclasses.replace(config, **top, **nested)


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every setting as (dotted name, value)."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from flatten(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, value


def save_config(config: Config, path: Path) -> None:
    """Write `config` as YAML."""
    data = {"version": CONFIG_VERSION, **dataclasses.asdict(config)}
    temporary = path.with_suffix(".new")
    temporary.write_text(yaml.safe_dump(data, sort_keys=False))
    temporary.replace(path)  # whole or not at all


def load_config(path: Path) -> Config:
    """Read settings written by `save_config`; raises `InputError` naming the field that is wrong."""
    data = read_yaml(path, f"{path.parent} is not a run directory")
    version = data.pop("version", None)
    if version != CONFIG_VERSION:
        raise InputError(f"{path} has version {version}, this fosp reads version {CONFIG_VERSION}.")
    return build_settings(Config, data, str(path))


_MODEL_OF_THE_PAPER: dict[str, Any] = {"beta_representation": 0.1, "vector_bins": 0, "foresight": 0, "cost_scale": 1.0}

CHOICE_OF_THE_PAPER: dict[str, Any] = {
    "expansion_price": "bounds", "candidates": 1, "lookahead": 0, "online_actions": "imagined",
}  # fmt: skip
"""One action of each actor (Eqs. 21 and 22), and a new actor that learns from its own in imagination (Eq. 23)."""

PRESETS: dict[str, Config] = {
    "test": Config(
        preset="test",
        world_model=WorldModelConfig(
            deterministic=64, latents=8, classes=8, units=64, cnn_depth=4, head_layers=1, **_MODEL_OF_THE_PAPER
        ),
        behaviour=BehaviourConfig(
            units=64,
            horizon=5,
            actor_learning_rate=3e-4,
            critic_learning_rate=3e-4,
            reach_learning_rate=5e-4,
            cost_limit=0.0,
            **CHOICE_OF_THE_PAPER,
        ),
        training=TrainingConfig(
            batch_size=4,
            sequence_length=8,
            offline_updates=20,
            model_updates=0,
            cooldown=0.0,
            finetuning_learning_rate=0.0,
            mirror="off",
            online_frames=2_000,
            prefill_episodes=1,
            train_ratio=1.0,
            replay_steps=20_000,
            evaluate_every=0,
            evaluation_episodes=2,
            log_every=5,
            checkpoint_every=10,
        ),
        on_policy=OnPolicyConfig(episodes=1, epochs=2),
    ),
    "laptop": Config(),
    "paper": Config(
        preset="paper",
        world_model=WorldModelConfig(
            deterministic=512,
            latents=48,
            classes=48,
            units=512,
            cnn_depth=32,
            patch=1,
            vector_standardise=False,
            cost_weight=10.0,
            learning_rate=1e-4,
            **_MODEL_OF_THE_PAPER,
        ),
        behaviour=BehaviourConfig(
            layers=5,
            units=512,
            horizon=15,
            start_every=1,
            gamma=0.997,
            advantage_scale="return",
            cost_expectile=0.8,
            reach_gamma=0.99,
            beta_reward=10.0,
            beta_cost=10.0,
            penalty_scale="none",
            multiplier_limit=0.0,
            cost_limit=0.0,
            penalty=1e-6,
            expansion_inverse_temperature=10.0,
            expansion_start="fresh",
            actor_learning_rate=3e-5,
            critic_learning_rate=3e-5,
            reach_learning_rate=5e-5,
            **CHOICE_OF_THE_PAPER,
        ),
        training=TrainingConfig(
            batch_size=64,
            offline_updates=125_000,
            model_updates=0,
            cooldown=0.0,
            finetuning_learning_rate=0.0,
            mirror="off",
            online_frames=500_000,
            train_ratio=512.0,
            evaluate_every=12_500,
            evaluation_episodes=20,
            checkpoint_every=2_500,
        ),
        safe_dreamer=SafeDreamerConfig(penalty=1e-6, multiplier_limit=0.0),
    ),
}
