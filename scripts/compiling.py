"""The compiled form: a library that mypyc makes of modules that pyproject.toml lists.

It contains them all, so that calls between them are calls of C, and where it is
installed, Python imports them from it (postvirt.compiled_modules).

hatchling calls the hook, which adds it to a wheel if POSTVIRT_COMPILE is 1.
scripts/compile puts it in the checkout. scripts/package has the modules translated to C
first, with --translate, because Debian's mypyc is not the version that is tested.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[1]

# Types are checked by scripts/check. Here optional libraries may be missing.
_MYPY_OPTIONS = ("--config-file=", "--ignore-missing-imports")

# The library is postvirt/compiled__mypyc.so.
_LIBRARY = "postvirt.compiled"

# Where its C sources are if whoever compiles it has no mypyc, and what describes them.
TRANSLATED = Path("translated")
_DESCRIPTION = "library.json"

# What is with mypyc's runtime and of no use here; base64 has a license of its own.
_NOT_NEEDED = ("*.py", "*.tmpl", "__pycache__", "base64")


def compile_into(folder: Path, modules: list[str]) -> Path:
    """Compile these .py files; the library, where it belongs in the folder.

    What has been translated before is only compiled, which needs no mypyc.
    Raises: SystemExit when mypyc refuses something, or a translation is out of date.
    """
    described = TRANSLATED / _DESCRIPTION
    is_translated = described.exists()
    if is_translated and any(_is_newer(module, described) for module in modules):
        raise SystemExit(f"{TRANSLATED}/ is older than the sources: remove it")
    # Not before, because a wheel without them needs no compiler.
    from setuptools import Distribution, Extension

    with TemporaryDirectory(prefix="postvirt-compile-") as work:
        if not is_translated:
            described = translate_into(Path(work), modules)
        library = Extension(**json.loads(described.read_text()))
        build = Distribution({"ext_modules": [library]}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = os.fspath(folder), work
        build.ensure_finalized()
        build.run()
        (output,) = build.get_outputs()
        return Path(output)


def translate_into(folder: Path, modules: list[str]) -> Path:
    """Translate these .py files to C; the description of the library to make of it.

    It is right for this version of Python. Nothing else is needed to compile it; names
    of files are absolute, or below the root of the sources.
    Raises: SystemExit when mypyc refuses something.
    """
    from mypyc.build import include_dir, mypycify

    library, *shims = mypycify(
        [*_MYPY_OPTIONS, *modules],
        debug_level="0",
        multi_file=True,  # a third less time and memory, no slower code
        target_dir=os.fspath(folder),
        group_name=_LIBRARY,
    )
    runtime = folder / "runtime"
    copytree(include_dir(), runtime, ignore=ignore_patterns(*_NOT_NEEDED))
    sources = [*library.sources]
    # Each of them initialises one module, and would be a library of its own.
    for shim in shims:
        sources += [_without_package(one) for one in shim.sources]
    described = folder / _DESCRIPTION
    described.write_text(
        json.dumps(
            {
                "name": library.name,
                "sources": sources,
                "include_dirs": [f"{folder}/postvirt", f"{folder}", f"{runtime}"],
                "extra_compile_args": library.extra_compile_args,
                "extra_link_args": ["-s"],
            }
        )
    )
    return described


def _is_newer(module: str, described: Path) -> bool:
    return Path(module).stat().st_mtime > described.stat().st_mtime


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
        return needs if _is_wanted() and not TRANSLATED.exists() else []

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
    if sys.argv[1:] == ["--translate"]:
        translate_into(TRANSLATED, compiled_modules())
    else:
        compile_into(ROOT, compiled_modules())
