"""Import of Peewee without the drivers of other databases. Import this module before Peewee.

Peewee loads every installed driver, which takes a tenth of a second and ten megabytes per process, although the
server's own database is SQLite. The `sql` node loads the driver that it needs at first use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "pymysql", "MySQLdb")


@contextmanager
def hidden() -> Iterator[None]:
    """Hide drivers that are not loaded yet from imports in the block; Peewee and its playhouse work without them."""
    absent = [name for name in DRIVERS if name not in sys.modules]
    # Importing a module whose entry is None raises ImportError.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


with hidden():
    import peewee  # noqa: F401
