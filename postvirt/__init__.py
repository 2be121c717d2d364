"""A replacement for Postfix's virtual(8) delivery agent.

CONTRIBUTING.md says what each package is for, and follows a message through them.
"""

__version__ = "0.1.0"
