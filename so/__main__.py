"""`python -m so list`: the command line of the application in the working directory."""

import sys

from so.console.main import main

sys.exit(main())
