"""What `bin/sixorbit db:seed` fills an empty database with."""

from __future__ import annotations

from app.history import a_year
from so import Seeder


class DatabaseSeeder(Seeder):
    """A year in the life of the demo: app/history.py."""

    def run(self) -> None:
        a_year()
