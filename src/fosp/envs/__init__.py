"""Environments: the Safety-Gymnasium navigation tasks, other authors' environments, and scripted behaviours."""

from fosp.envs.make import EnvInfo, list_envs, make_env, register_gymnasium
from fosp.envs.vector import make_vec_env

__all__ = ["EnvInfo", "list_envs", "make_env", "make_vec_env", "register_gymnasium"]

register_gymnasium()
