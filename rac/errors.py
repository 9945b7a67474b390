"""The two ways in which a command ends early. The command line turns them into exit codes."""

from __future__ import annotations


class InputError(ValueError):
    """The input or the usage is wrong; the message names the place and what would be right.

    The command line shows the message without a traceback and exits with 2.
    """


class JobFailed(RuntimeError):
    """A job that was asked for correctly could not be finished; the command line exits with 1."""
