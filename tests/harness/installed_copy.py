"""Another installation of postvirt: its own virtual environment and package."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from tests.harness.service import POSTVIRT

PACKAGE = Path(__file__).parents[2] / "postvirt"


class InstalledCopy:
    """An installation below a directory."""

    def __init__(self, root: Path) -> None:
        site = root / os.path.relpath(sysconfig.get_path("purelib"), sys.prefix)
        self.program = root / "bin" / "postvirt"
        self._first = site / "postvirt" / "__init__.py"
        self.program.parent.mkdir(parents=True)
        python = self.program.with_name("python3")
        python.symlink_to(os.path.realpath(sys.executable))
        shutil.copy(Path(sys.prefix, "pyvenv.cfg"), root)
        shutil.copytree(
            PACKAGE, site / "postvirt", ignore=shutil.ignore_patterns("*.so")
        )
        (site / "grammar").symlink_to(PACKAGE.with_name("grammar"))
        # The libraries, but no package that pip has linked to the checkout.
        debian = [one for one in sys.path if one.endswith("/dist-packages")]
        libraries = [sysconfig.get_path("purelib"), *debian]
        (site / "libraries.pth").write_text("".join(f"{one}\n" for one in libraries))
        lines = POSTVIRT.read_text().split("\n", 1)
        self.program.write_text(f"#!{python}\n{lines[1]}")
        self.program.chmod(0o755)

    def upgrade(self) -> None:
        """Replace a file of the package, as pip and dpkg do."""
        new = self._first.with_suffix(".new")
        shutil.copy(self._first, new)
        new.rename(self._first)
