"""Shipping: how the framework becomes files that travel to machines without a network.

Read in this order: files (what is shipped, and where it lies in a package), archives (zip and tar
files that come out the same each time), wheel (a wheel and a source archive of this project),
backend (what `pip install .` calls). Nothing here is needed to run an application.
"""
