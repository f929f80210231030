"""An application that cannot be imported."""

raise RuntimeError("the application cannot be made")
