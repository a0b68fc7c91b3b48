"""Vendors' packages, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fosp.errors import InputError


def vendor(module: str, extra: str) -> Any:
    """The package; raises `InputError` naming the extra that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(f"{module} cannot be imported ({error}): pip install 'fosp[{extra}]'.") from None
