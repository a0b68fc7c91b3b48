"""On what machine, by what code and when a run was made."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fosp.version import __version__

PACKAGES = ("torch", "mujoco", "gymnasium", "minari", "numpy")


def describe_machine() -> dict[str, str]:
    """Processor, memory, accelerator and versions, as short texts by name."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory:.0f} GiB",
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    return facts | {name: _version(name) for name in PACKAGES}


def save_machine(path: Path, code: str) -> None:
    """Write `describe_machine`, version, the commits of `code` and the date as JSON, for the report of the run that
    `path` lies in."""
    facts = describe_machine() | {"fosp": __version__, "commit": code, "date": date.today().isoformat()}
    path.write_text(json.dumps(facts, indent=1))


def commit() -> str:
    """The commit of the checkout that this package runs from, "-dirty" where files differ; "none" where it is none."""
    git = ("git", "-C", str(Path(__file__).parent))
    describe = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        return subprocess.run([*git, *describe], capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
