"""Configurations for the VDA patch, one module for those that are alike.

All modules of this package are gathered: a new one needs no line elsewhere.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.harness.patched import Patched

_modules = [import_module(f"{__name__}.{one.name}") for one in iter_modules(__path__)]

CONFIGURATIONS: list[Patched] = [
    one for module in _modules for one in module.CONFIGURATIONS
]
