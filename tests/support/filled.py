"""Databases with rows in every table, for what copies whole databases, and their content to compare."""

import sqlite3
from contextlib import closing

import psycopg

import database
from database import execute
from database.queries.server_state import OF_ONE_DATABASE

# Tables of the database itself or of its present processes, and SQLite's full-text index.
NOT_COPIED = (
    "schema_migration", "server_counters", "leases", "payloads", "agent_memories_fts",
    "webhook_listeners",  # they live for minutes
)  # fmt: skip
NUL_TEXT = "a\0b"
TEXTS = ["plain", "Größe 'x' \\N \\. \t\r\n{{ 1 }} \U0001f600", '{"a": "\\u0000"}', "", "\\x00"]
NUMBERS = [0, 7, 2**53 + 1, -1, 2**62]
REALS = [0.25, 1e-05, 123456.789, 1e300, -2.0]
BLOBS = [b"\0\xff\\", b"", bytes(range(256)), b"x", b"yy"]
FLAGS = {"set_up", "is_admin", "cancelled", "recorded", "final", "begun"}
ROWS = 5


def columns_of(table):
    """Return name, type, whether it is NOT NULL, and whether it is in the key, of each column of an SQLite table."""
    sql = f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')"
    return execute(sql).fetchall()


def tables():
    """Return the names of the tables of the connected SQLite database whose rows are copied."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
    return [name for (name,) in execute(sql).fetchall() if not name.startswith(NOT_COPIED)]


def fill():
    """Insert ROWS rows with values of all kinds into every table of the connected SQLite database."""
    with database.write():
        # Not in alphabetical order: a count of a day deletes its sums.
        for table in sorted(tables(), key=lambda name: name in ("workspace_days", "flow_sums")):
            columns = columns_of(table)
            for number in range(ROWS):
                row = [value(table, number, *column) for column in columns]
                names = ", ".join(f'"{name}"' for name, *_ in columns)
                execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', tuple(row))
        execute("UPDATE runs SET status = 'running', lease_owner = 'proc_1' WHERE id IN ('run_x1', 'run_x2')")
        execute("UPDATE runs SET status = 'running', lease_owner = NULL, recorded = 1 WHERE id = 'run_x3'")
        execute("UPDATE runs SET error_text = ?, waiting = ? WHERE id = 'run_x4'", (NUL_TEXT, NUL_TEXT))


def value(table, number, name, kind, is_not_null, place):
    """Return a value for this column of the row with this number."""
    if place or name in ("token_hash", "email") or (name == "id" and table != "runs"):
        unique = {"INTEGER": 100 + number, "BLOB": BLOBS[number] + b"%d" % number}
        return unique.get(kind, f"run_x{number}" if table == "runs" else f"x{number}")
    if table == "runs" and name in ("packed_steps", "status", "lease_owner"):
        return "success" if name == "status" else None
    if name in FLAGS:
        return number % 2
    if not is_not_null and number == 0:
        return None
    return {"INTEGER": NUMBERS, "REAL": REALS, "BLOB": BLOBS, "TEXT": TEXTS}[kind][number]


def content(rows_of, names):
    """Return the rows of these tables in any order; `rows_of(sql)` gives rows."""
    return {name: sorted(map(tuple, rows_of(f'SELECT * FROM "{name}"')), key=repr) for name in names}


def sqlite_content(path, names):
    """Return the rows of an SQLite file by table."""
    with closing(sqlite3.connect(path)) as connection:
        return content(lambda sql: connection.execute(sql).fetchall(), names)


def postgres_content(url, names):
    """Return the rows of a PostgreSQL database by table, without the column that only it has."""
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE agent_memories DROP COLUMN words")
        found = content(lambda sql: connection.execute(sql).fetchall(), names)
        connection.rollback()
        return found


def as_moved(found, without_nul):
    """Return the content as it is after a move: no run is executed, and PostgreSQL has no NUL."""
    changed = dict(found)
    changed["runs"] = sorted((released(row) for row in found["runs"]), key=repr)
    changed["server_facts"] = [row for row in found["server_facts"] if row[0] not in OF_ONE_DATABASE]
    if without_nul:
        changed = {name: sorted((tuple(map(plain, row)) for row in rows), key=repr) for name, rows in changed.items()}
    return changed


def released(row):
    """Return the row of a run whose process is gone."""
    is_taken = {"running", "proc_1"} <= set(row)
    return tuple({"running": "pending", "proc_1": None}.get(value, value) for value in row) if is_taken else row


def plain(value):
    """Return the value without NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


VALUES = {
    "run_x0/input.json": b'"large"',
    "run_x0/input.2.json": b'"written by the second claim"',
    "run_x0/step_3.json": b'"large"',
    "run_x1/output.json": b'"' + b"x" * (3 << 20) + b'"',
}


def write_values(folder):
    """Write large values of runs into files."""
    for name, value in VALUES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(value)


def read_values(folder):
    """Return the large values in files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}


def postgres_values(url):
    """Return the large values in rows, by the paths of their files."""
    sql = "SELECT run_id, name, claims, data FROM payloads ORDER BY part"
    found = {}
    with psycopg.connect(url) as connection:
        for run_id, name, claims, data in connection.execute(sql):
            path = f"{run_id}/{name}{f'.{claims}' if claims > 1 else ''}.json"
            found[path] = found.get(path, b"") + bytes(data)
    return found
