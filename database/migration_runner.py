"""The migrations of each engine: which files, in which order.

SQLite begins with migrations/0001_initial.py. PostgreSQL begins with BASELINE, the schema that SQLite has after its
migration of the same number; the later migrations are one file for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from . import peewee_import

# isort: split
from peewee import Database

if TYPE_CHECKING:
    from playhouse.migrations import Runner

Kind = Literal["sqlite", "postgres"]

MIGRATIONS = Path(__file__).parents[1] / "migrations"
BASELINE = MIGRATIONS / "postgres" / "0020_baseline.py"


def migration_files(kind: Kind) -> list[Path]:
    """Return the files with the migrations of this engine, in their order."""
    files = sorted(MIGRATIONS.glob("[0-9]*.py"))
    if kind == "sqlite":
        return files
    return [BASELINE, *(file for file in files if _number(file) > _number(BASELINE))]


def _number(file: Path) -> int:
    return int(file.name.partition("_")[0])


def make_runner(db: Database, kind: Kind) -> Runner:
    """Return the runner that applies the migrations of this engine to the database, and records them in it."""
    with peewee_import.hidden():
        from playhouse.migrations import Migration, Runner

    class RunnerOfEngine(Runner):
        def migrations(self) -> list[Migration]:
            return [Migration(_number(file), file.stem, str(file), None) for file in migration_files(kind)]

    return RunnerOfEngine(db, directory=str(MIGRATIONS))
