"""What pip calls to build this project: so/release/backend.py, where Python is new enough.

An older Python cannot even read that; here it learns which one is needed, and pip says so.
"""

import os
import sys

if sys.version_info >= (3, 11):  # noqa: UP036
    from so.release.backend import *  # noqa: F403
else:
    NAME = "so_framework-2.dist-info"
    METADATA = "Metadata-Version: 2.1\nName: so-framework\nVersion: 2\nRequires-Python: >=3.11\n"

    def get_requires_for_build_wheel(config_settings=None):
        """Nothing."""
        return []

    get_requires_for_build_sdist = get_requires_for_build_wheel
    get_requires_for_build_editable = get_requires_for_build_wheel

    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        """Which Python is needed; pip compares that with its own, and builds nothing."""
        folder = os.path.join(metadata_directory, NAME)
        os.mkdir(folder)
        with open(os.path.join(folder, "METADATA"), "w") as file:
            file.write(METADATA)
        return NAME

    prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel

    def build_wheel(*arguments, **more):
        """Refuse: there is nothing to build for this Python."""
        sys.exit("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

    build_sdist = build_editable = build_wheel
