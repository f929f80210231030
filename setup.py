"""What pyproject.toml cannot say: the settings in config/ are shipped inside the package.

`sixorbit new` copies them into an application, and a folder without `config/` falls back on them.
"""

from setuptools import find_packages, setup

SETTINGS = "so.skeleton.config"

setup(
    packages=[*find_packages(include=["so", "so.*"]), SETTINGS],
    package_dir={SETTINGS: "config"},
)
