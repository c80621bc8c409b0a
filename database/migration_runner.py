"""The migrations: the files in `migrations/`, which Playhouse applies in order and records by their names.

They are the same for SQLite and PostgreSQL. The first, BASELINE, makes the schema that the former migrations led to. A
database that had all of these is at the baseline: their names are replaced by that of the baseline. A database that
lacks some is refused; the last version that had them, LAST_WITH_FORMER, can bring it up to date.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import peewee_import

# isort: split
from peewee import Database

from constants import VERSION
from errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
BASELINE = "0037_baseline"
# The former migrations that both engines had. A database with these has those before them, too: 0001 to 0020 of SQLite,
# or 0020_baseline of PostgreSQL.
FORMER = frozenset(
    (
        *("0021_only_postgres", "0022_commit_numbers", "0023_metric_counts", "0024_partitions_of_runs"),
        *("0025_value_objects", "0026_load_of_processes", "0027_webhook_listeners", "0028_drafts"),
        *("0029_folders_and_tags", "0030_webhook_patterns", "0031_data_tables", "0032_oauth_grants"),
        *("0033_variables", "0034_registered_hooks", "0036_loops", "0037_debounces"),
    )
)
LAST_WITH_FORMER = "e7cfe816"  # a commit


def apply(db: Database, is_enough: Callable[[], bool] = lambda: False) -> list[str]:
    """Apply the migrations that the database lacks, until `is_enough`, and record them in it. Return their names."""
    with peewee_import.hidden():
        from playhouse.migrations import Runner
    runner = Runner(db, directory=str(MIGRATIONS))
    applied: list[str] = []
    for name in sorted(migrations()):
        applied += runner.up(name)
        if is_enough():
            break
    return applied


def migrations() -> set[str]:
    """Return the names of the migrations that this version knows."""
    return {file.stem for file in MIGRATIONS.glob("[0-9]*.py")}


def former(names: set[str]) -> set[str]:
    """Return the former migrations among these names."""
    return {name for name in names if name <= max(FORMER)} - {BASELINE}


def replace_former(names: set[str], place: str, version: str | None) -> set[str]:
    """Return the names of applied migrations, with the baseline in place of the former ones.

    Raises: ConfigError if some of the former ones are missing, with the `place` and the version that made the data.
    """
    found = former(names)
    if not found:
        return names
    if not found >= FORMER:
        made_by = "an older version of Headrace" if version is None else f"Headrace {version}"
        raise ConfigError(
            f"{place} was made by {made_by}, with a schema that this version, {VERSION}, no longer migrates. Bring it "
            f'up to date once with commit {LAST_WITH_FORMER}: see "Upgrading" in docs/operations.md'
        )
    return names - found | {BASELINE}
