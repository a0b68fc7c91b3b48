"""What there is, and what works here: envs, doctor, version."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from fosp.version import __version__


def version() -> None:
    """Print the version."""
    print(__version__)


def envs() -> None:
    """List every environment of this package: its observation, action and costs.

    Any registered Gymnasium environment whose info carries "cost" works as well, under its own id.
    """
    from fosp.envs import list_envs

    infos = list_envs()
    width = 2 + max(len(info.id) for info in infos)
    for info in infos:
        costs = f"costs: {', '.join(info.costs)}" if info.costs else "no costs"
        image = f"image 64x64x{3 * info.views}"
        shapes = f"{image}, vector {info.vector_size}; action {info.action_size}; {info.frames} frames"
        print(f"{info.id:<{width}}{info.description}\n{'':<{width}}{shapes}; {costs}")
    print("\nAny other Gymnasium id works as well if its info carries 'cost'.")


def doctor() -> int:
    """Tell which OpenGL back ends draw here and how fast, the device, the versions, and what to do.

    Exits with 2 where no back end can draw pictures.
    """
    from fosp.envs.gl import ADVICE, BACKENDS, has_gpu_driver
    from fosp.report.machine import describe_machine

    facts = {"fosp": __version__, **describe_machine()}
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, value)
    console = Console(highlight=False)
    console.print(table)
    console.print("\nPictures (SafetyPointGoal1-v0, both cameras, action repeat 4, one core):")
    probes = {backend: probe(backend) for backend in BACKENDS}
    works = {backend: result for backend, result in probes.items() if "rate" in result}
    for backend, result in probes.items():
        text = f"{result['rate']:.0f} steps/s, by {result['renderer']}" if backend in works else result["error"]
        console.print(f"  {backend:8} {'works' if backend in works else 'fails'}  {text}", soft_wrap=True)
    console.print("\nWhat to do:")
    for line in _advice(works, has_gpu_driver(), facts["accelerator"] != "none", ADVICE):
        console.print(f"  - {line}", soft_wrap=True)
    return 0 if works else 2


def probe(backend: str) -> dict[str, float | str]:
    """Draw with one back end in a process of its own, which a broken driver may kill.

    Returns {"rate": agent steps per second, "renderer": name} or {"error": text}.
    """
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)
    command = [sys.executable, "-m", "fosp.cli.probe"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return {"error": "no answer within two minutes"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"error": f"the process died: {last}"}


def _advice(works: dict[str, dict[str, float | str]], driver: bool, gpu: bool, install: str) -> list[str]:
    if not works:
        return [f"no back end draws here: {install}."]
    best = max(works, key=lambda backend: float(works[backend]["rate"]))
    lines = [f"{best} is the fastest here: MUJOCO_GL={best} makes sure that it is used."]
    if driver and "egl" not in works:
        lines.append("there is a GPU driver, but egl fails: install the driver's EGL library (Debian: libegl1).")
    if not driver:
        lines.append("pictures are drawn in software; a GPU with an EGL driver draws them faster (MUJOCO_GL=egl).")
    if not gpu:
        lines.append("PyTorch finds no GPU: use --preset laptop, or vector observations, which are far cheaper.")
    else:
        lines.append(
            "on the GPU, --training.precision bfloat16 --training.compile True make updates several times faster."
        )
    return lines
