"""Imports Peewee without the drivers of other databases. Import this before Peewee.

It loads every driver that is installed, which takes a tenth of a second and ten megabytes a process, for a server whose
own database is SQLite. The `sql` node loads the one that it needs when it needs it.
"""

from __future__ import annotations

import sys

DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "pymysql", "MySQLdb")

_absent = [name for name in DRIVERS if name not in sys.modules]
# A module that is None in here cannot be imported.
sys.modules.update(dict.fromkeys(_absent))  # type: ignore[arg-type]

import peewee  # noqa: E402, F401

for _name in _absent:
    del sys.modules[_name]
