"""The command line: an argparse kernel, and one module of commands per topic.

Commands only parse, call a system and print; what they do lives in the systems.
"""

from so.console.command import Command, command
from so.console.kernel import Kernel

__all__ = ["Command", "Kernel", "command"]
