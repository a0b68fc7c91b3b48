"""The preset `paper` against Table 4 and the authors' released configuration, number by number."""

from __future__ import annotations

import pytest

from fosp.config import flatten, preset

PAPER = preset("paper")


TABLE = [
    ("world_model", "latents", 48),
    ("world_model", "classes", 48),
    ("world_model", "learning_rate", 1e-4),
    ("world_model", "beta_representation", 0.1),
    ("world_model", "beta_dynamics", 0.5),
    ("world_model", "free_nats", 1.0),
    ("world_model", "unimix", 0.01),
    ("world_model", "cost_weight", 10.0),
    ("world_model", "deterministic", 512),
    ("world_model", "cnn_depth", 32),
    ("world_model", "patch", 1),
    ("world_model", "units", 512),
    ("world_model", "vector_bins", 0),
    ("world_model", "foresight", 0),
    ("world_model", "cost_scale", 1.0),
    ("world_model", "head_layers", 2),
    ("world_model", "gradient_clip", 1000.0),
    ("behaviour", "layers", 5),
    ("behaviour", "units", 512),
    ("behaviour", "horizon", 15),
    ("behaviour", "start_every", 1),
    ("behaviour", "gamma", 0.997),
    ("behaviour", "lambda_", 0.95),
    ("behaviour", "reward_expectile", 0.8),
    ("behaviour", "cost_expectile", 0.8),
    ("behaviour", "beta_reward", 10.0),
    ("behaviour", "beta_cost", 10.0),
    ("behaviour", "weight_clip", 100.0),
    ("behaviour", "advantage_scale", "return"),
    ("behaviour", "entropy", 3e-4),
    ("behaviour", "slow_critic_rate", 0.02),
    ("behaviour", "reach_gamma", 0.99),
    ("behaviour", "reach_initial", 0.02),
    ("behaviour", "multiplier", 0.01),
    ("behaviour", "penalty", 1e-6),
    ("safe_dreamer", "penalty", 1e-6),
    ("behaviour", "penalty_growth", 5e-9),
    ("behaviour", "expansion_inverse_temperature", 10.0),
    ("behaviour", "expansion_start", "fresh"),
    ("behaviour", "actor_learning_rate", 3e-5),
    ("behaviour", "critic_learning_rate", 3e-5),
    ("behaviour", "reach_learning_rate", 5e-5),
    ("behaviour", "gradient_clip", 100.0),
    ("behaviour", "insample", True),
    ("behaviour", "expansion", True),
    ("behaviour", "reachability", True),
    ("behaviour", "augmented_lagrangian", True),
    ("training", "batch_size", 64),
    ("training", "sequence_length", 16),
    ("training", "offline_updates", 125_000),
    ("training", "online_frames", 500_000),
    ("training", "train_ratio", 512.0),
    ("training", "cooldown", 0.0),
    ("training", "mirror", "off"),
    ("training", "finetuning_learning_rate", 0.0),
    ("training", "online_weight", 1.0),
    ("training", "model_updates", 0),
    ("behaviour", "cost_limit", 0.0),
    ("env", "action_repeat", 4),
    ("env", "time_limit", 1000),
    # What the paper does not have is off.
    ("world_model", "vector_standardise", False),
    ("world_model", "vector_layers", 2),
    ("behaviour", "advantage", "critic"),
    ("behaviour", "lagrangian", "gradient"),
    ("behaviour", "penalty_scale", "none"),
    ("behaviour", "multiplier_limit", 0.0),
    ("behaviour", "expansion_price", "bounds"),
    ("behaviour", "expansion_model", "shared"),
    ("behaviour", "candidates", 1),
    ("behaviour", "lookahead", 0),
    ("behaviour", "online_actions", "imagined"),
    ("behaviour", "actor_average", 0.0),
    ("behaviour", "reach_threshold", 0.5),
    ("training", "updates_per_episode", 0),
    ("training", "world_model", ""),
]
UNREAD = {
    "behaviour.cost_limit_rate",
    "behaviour.excess_limit",
    "behaviour.price",
    "behaviour.price_rate",
    "behaviour.lookahead_samples",
    "behaviour.lookahead_lambda",
}
"""Settings of what is off."""
BOOKKEEPING = {
    "prefill_episodes", "environments", "replay_steps", "evaluate_every", "evaluate_at", "evaluation_episodes",
    "log_every", "checkpoint_every", "threads", "precision", "capture", "compile",
}  # fmt: skip


@pytest.mark.parametrize(("group", "field", "value"), TABLE)
def test_table_4(group, field, value):
    assert getattr(getattr(PAPER, group), field) == value


def test_no_setting_of_the_method_is_left_out_of_the_table():
    settings = {name for name, _ in flatten(PAPER) if name.startswith(("world_model.", "behaviour.", "training."))}
    named = {f"{group}.{field}" for group, field, _ in TABLE}
    assert settings == (named & settings) | UNREAD | {f"training.{name}" for name in BOOKKEEPING}


def test_online_frames_and_train_ratio_make_62500_updates():
    training, env = PAPER.training, PAPER.env
    steps = training.online_frames / env.action_repeat
    assert steps * training.train_ratio / (training.batch_size * training.sequence_length) == 62_500
