"""The command line: an argparse kernel, and one module of commands per topic.

Commands only parse, call a system and print; what they do lives in the systems.

Read in this order: kernel.py (a command line, to its exit code), command.py (what a command is),
signature.py (its arguments and options), output.py (what it prints), commands/ (one module a
topic).
"""

from so.console.command import Command, command
from so.console.kernel import Kernel

__all__ = ["Command", "Kernel", "command"]
