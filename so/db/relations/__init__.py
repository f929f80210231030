"""Relations between models: what `@relation` methods return.

`definition` is the decorator, `base` what all relations share; then one module for each kind.
Nothing is imported here: the model package imports from the modules as it is put together.
"""
