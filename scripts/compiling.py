"""The compiled form: a library that mypyc makes of modules that pyproject.toml lists.

It contains them all, so that calls between them are calls of C, and where it is
installed, Python imports them from it (postvirt.compiled_modules).

hatchling calls the hook, which adds it to a wheel if POSTVIRT_COMPILE is 1.
scripts/compile puts it in the checkout.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[1]

# Types are checked by scripts/check. Here optional libraries may be missing.
_MYPY_OPTIONS = ("--config-file=", "--ignore-missing-imports")

# The library is postvirt/compiled__mypyc.so.
_LIBRARY = "postvirt.compiled"


def compile_into(folder: Path, modules: list[str]) -> Path:
    """Compile these .py files; the library, where it belongs in the folder.

    Raises: SystemExit when mypyc refuses something.
    """
    # Not before, because a wheel without them needs no compiler.
    from mypyc.build import mypycify
    from setuptools import Distribution

    with TemporaryDirectory(prefix="postvirt-compile-") as work:
        library, *shims = mypycify(
            [*_MYPY_OPTIONS, *modules],
            debug_level="0",
            multi_file=True,  # a third less time and memory, no slower code
            target_dir=work,
            group_name=_LIBRARY,
        )
        # Each of them initialises one module, and would be a library of its own.
        for shim in shims:
            library.sources += [_without_package(one) for one in shim.sources]
        library.include_dirs.append(f"{work}/postvirt")
        library.extra_link_args.append("-s")
        build = Distribution({"ext_modules": [library]}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = os.fspath(folder), work
        build.ensure_finalized()
        build.run()
        (output,) = build.get_outputs()
        return Path(output)


def _without_package(shim: str) -> str:
    """It need not initialise a package as well: in one library only one can do that."""
    path = Path(shim)
    own_name = f"PyInit___init__{path.stem}"
    path.write_text(f"#define PyInit___init__ {own_name}\n{path.read_text()}")
    return shim


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    _folder: TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """What compiling needs."""
        needs: list[str] = self.config["needs"]
        return needs if _is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, if that is wanted."""
        if version == "editable" or not _is_wanted():
            return
        self._folder = TemporaryDirectory(prefix="postvirt-wheel-")
        folder = Path(self._folder.name)
        library = compile_into(folder, self.config["modules"])
        build_data["force_include"][str(library)] = str(library.relative_to(folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, *_: object) -> None:
        """Remove what is in the wheel now."""
        if self._folder is not None:
            self._folder.cleanup()


def _is_wanted() -> bool:
    return os.environ.get("POSTVIRT_COMPILE") == "1"


def compiled_modules() -> list[str]:
    """The .py files that are compiled; their paths begin with postvirt/."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = configured["tool"]["hatch"]["build"]["targets"]["wheel"]
    modules: list[str] = wheel["hooks"]["custom"]["modules"]
    return modules


if __name__ == "__main__":
    os.chdir(ROOT)
    compile_into(ROOT, compiled_modules())
