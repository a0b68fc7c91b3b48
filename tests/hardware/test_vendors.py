"""The vendors' own packages, where they are installed: what the adapters and their stand-ins call is there."""

from __future__ import annotations

import inspect

import pytest


def test_panda_python():
    panda_py = pytest.importorskip("panda_py", reason="panda-python is not installed")
    from panda_py import controllers

    methods = "recover raise_error move_to_joint_position start_controller stop_controller get_pose get_state"
    for name in methods.split():
        assert callable(getattr(panda_py.Panda, name))
    assert "hostname" in panda_py.Panda.__init__.__doc__
    assert "speed_factor" in panda_py.Panda.move_to_joint_position.__doc__
    for word in ("impedance", "nullspace_stiffness", "filter_coeff"):
        assert word in controllers.CartesianImpedance.__init__.__doc__
    assert "position" in controllers.CartesianImpedance.set_control.__doc__
    assert "scalar_first: bool = False" in panda_py.Panda.get_orientation.__doc__  # its quaternions end with w
    assert hasattr(panda_py.libfranka.RobotState, "O_F_ext_hat_K")


def test_pyrealsense2():
    library = pytest.importorskip("pyrealsense2", reason="pyrealsense2 is not installed", exc_type=ImportError)
    assert "framerate" in library.config.enable_stream.__doc__
    assert callable(library.config.enable_device)
    assert "timeout_ms" in library.pipeline.wait_for_frames.__doc__
    assert callable(library.composite_frame.get_color_frame)
    assert library.stream.color
    assert library.format.rgb8


def test_pyspacemouse():
    library = pytest.importorskip("pyspacemouse", reason="pyspacemouse is not installed")
    assert "axis_convention" in inspect.signature(library.open).parameters
    assert library.AxisConvention.ROS
    assert {"x", "y", "z", "roll", "pitch", "yaw"} <= set(library.SpaceMouseState.__annotations__)
