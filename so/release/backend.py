"""The build backend that pyproject.toml names: `pip install .` and `python -m build` call it.

It lies in the tree and needs nothing, so both work on a machine without a network, in the isolated
environment that pip makes for a build (PEP 517 and PEP 660).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from so.release.wheel import Project, dist_info, write_sdist, write_wheel

Settings = Mapping[str, object] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Nothing."""
    return []


get_requires_for_build_sdist = get_requires_for_build_wheel
get_requires_for_build_editable = get_requires_for_build_wheel


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Settings = None
) -> str:
    """Write the `.dist-info` folder; its name."""
    project = Project.at(Path.cwd())
    for name, content, _ in dist_info(project):
        file = Path(metadata_directory, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return f"{project.stem}.dist-info"


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    """Write the wheel; its file name."""
    return write_wheel(Project.at(Path.cwd()), Path(wheel_directory)).name


def build_editable(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    """Write a wheel that only points to this checkout; its file name."""
    return write_wheel(Project.at(Path.cwd()), Path(wheel_directory), editable=True).name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Write the source archive; its file name."""
    return write_sdist(Project.at(Path.cwd()), Path(sdist_directory)).name
