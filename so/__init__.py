"""SixOrbit: a back-end framework for ERP applications on Python's standard library alone.

Everything an application needs imports from here: `from so import DB, Model, Router, Job, cache`.
The names are looked up on first use (PEP 562), so `import so` alone loads nothing heavy.
"""

import sys

# Before a newer module ends in an error that nobody understands.
if sys.version_info < (3, 11):  # noqa: UP036 (whoever copies `so/` has no installer that looks)
    raise ImportError("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

from so.exports import PUBLIC, Package
from so.exports import find as __getattr__  # noqa: F401
from so.exports import names as __dir__  # noqa: F401

__version__ = "2.0.0"
__all__ = list(PUBLIC)
sys.modules[__name__].__class__ = Package
