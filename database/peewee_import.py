"""Peewee imported without the drivers of other databases. Import this before Peewee.

It loads every driver that is installed, which takes a tenth of a second and ten megabytes a process, for a server whose
own database is SQLite. The `sql` node loads the one that it needs when it needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "pymysql", "MySQLdb")


@contextmanager
def hidden() -> Iterator[None]:
    """Let the block import no driver that is not loaded yet: Peewee and its playhouse then do without."""
    absent = [name for name in DRIVERS if name not in sys.modules]
    # A module that is None in here cannot be imported.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


with hidden():
    import peewee  # noqa: F401
