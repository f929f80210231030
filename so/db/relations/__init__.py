"""Relations between models: what `@relation` methods return.

`definition` is the decorator, `base` what all relations share; then one module for each kind.
Nothing is imported here: the model package imports from the modules as it is put together.

Read in this order: definition.py (the decorator), base.py (what all share), has.py,
belongs_to.py, through.py, pivot.py (many to many).
"""
