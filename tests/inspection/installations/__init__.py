"""Broken and sound installations, one module per subject; see harness/installations.

All modules of this package are gathered: a new one needs no line elsewhere.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.harness.installations import Broken, Sound

_modules = [import_module(f"{__name__}.{one.name}") for one in iter_modules(__path__)]

BROKEN: list[Broken] = [
    case for module in _modules for case in getattr(module, "BROKEN", ())
]
SOUND: list[Sound] = [
    case for module in _modules for case in getattr(module, "SOUND", ())
]
