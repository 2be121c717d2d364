"""Where the compiled form is installed, let Python import its modules.

They are all in one library. Python looks for a library for each module beside its
source; but each that is loaded is a handful of mappings, which cost every new worker
several microseconds apiece, at its birth and at its end.

Raises: ImportError for a library that cannot be loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from types import ModuleType


class _Finder:
    """Finds the modules that the library can initialise."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library

    def find_spec(
        self,
        name: str,
        _path: Sequence[str] | None = None,
        _target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Called by the import system, for every module."""
        if not hasattr(self._library, f"init_{name.replace('.', '___')}"):
            return None
        file = self._library.__file__
        assert file is not None
        spec = ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
        spec.has_location = True
        return spec


def prefer() -> None:
    """Prefer compiled modules to their sources, if there are any."""
    try:
        library = import_module("postvirt.compiled__mypyc")
    except ModuleNotFoundError:
        return
    sys.meta_path.insert(0, _Finder(library))
