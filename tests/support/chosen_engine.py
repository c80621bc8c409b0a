"""The engine on which the tests run: SQLite, or PostgreSQL with HEADRACE_TEST_DATABASE=postgres.

Processes that tests start import this, so it imports little.
"""

import hashlib
import os
from pathlib import Path

import database

ON_POSTGRES = os.environ.get("HEADRACE_TEST_DATABASE") == "postgres"
SERVER = "TEST_POSTGRES_URL"  # the environment variable with the URL of the server, for all processes of the tests
NOTES = "TEST_POSTGRES_NOTES"  # the variable with the folder of `note_of`


def url_of(path):
    """Return the URL of the database that stands for the SQLite file at this path; empty if SQLite is tested."""
    if not ON_POSTGRES:
        return ""
    note = note_of(path)
    return f"{os.environ[SERVER]}{note.read_text() if note.exists() else note.name}"


def database_of(folder):
    """Return the settings of a server with this data folder: its database, and where its files are."""
    files = {"files_dir": folder / "files"} if ON_POSTGRES else {}
    return {"database_url": url_of(folder / "headrace.sqlite3"), **files}


def note_of(path):
    """Return the file with the name of the database that stands for this one, for all processes of the tests.

    Without this file, the database has its name, or none was made.
    """
    return Path(os.environ[NOTES]) / f"t_{hashlib.md5(str(path).encode()).hexdigest()[:20]}"


def connect(place):
    """Connect this process to the database of `world.fresh_database` with this folder or file."""
    path = Path(place) / "headrace.sqlite3" if Path(place).is_dir() else Path(place)
    database.connect(url_of(path) or path, "normal")
