"""In which form this program runs: plain Python, or compiled by mypyc.

This module is compiled together with those that run for each message, and sees what it
has become.
"""

from __future__ import annotations

from typing import Final

FORM: Final = "plain Python" if __file__.endswith(".py") else "compiled"
