"""Environments: the Safety-Gymnasium navigation tasks, SafeReach, other authors' environments, scripted behaviours."""

from fosp.envs import gl

gl.import_mujoco()  # before anything imports mujoco, which fails where an OpenGL library is missing

from fosp.envs.make import EnvInfo, list_envs, make_env, make_env_unseen, register_gymnasium  # noqa: E402
from fosp.envs.vector import make_vec_env  # noqa: E402

__all__ = ["EnvInfo", "list_envs", "make_env", "make_env_unseen", "make_vec_env", "register_gymnasium"]

register_gymnasium()
