"""A replacement for Postfix's virtual(8) delivery agent.

CONTRIBUTING.md says what each package is for, and follows a message through them.
"""

from postvirt import compiled_modules

__version__ = "0.1.0"

compiled_modules.prefer()
