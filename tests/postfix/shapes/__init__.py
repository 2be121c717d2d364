"""What people really have, one module for those that are alike; see harness/shapes.

All modules of this package are gathered: a new one needs no line elsewhere.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.harness.shapes import Shape

_modules = [import_module(f"{__name__}.{one.name}") for one in iter_modules(__path__)]

SHAPES: list[Shape] = [shape for module in _modules for shape in module.SHAPES]
