"""The command line in tests: the folder in which commands run, the data of a server, and calls of commands."""

import json
import re
import sys
from pathlib import Path
from unittest.mock import patch

import click
import pytest
from click.testing import CliRunner
from world import migrated_database

import cli
import database
import workflow_server
from config import table
from models import Membership, User
from workflow_server import serve


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return the folder in which commands run; the environment has no settings."""
    for row in table():
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(database, "migrate", start_from(migrated_database(), database.migrate))
    yield tmp_path
    database.disconnect()


def start_from(content, migrate):
    """Return `migrate`, for which a new SQLite database has this content: all migrations together take 0.1 s."""

    def run(*options):
        path = Path(database.db.database)
        if not database.is_postgres() and (not path.exists() or not path.stat().st_size):
            database.disconnect_thread()
            path.write_bytes(content)
        return migrate(*options)

    return run


@pytest.fixture
def data_dir(config, monkeypatch):
    """Return the data folder of a server with one owner and one workspace, for the commands."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(config.data_dir))
    database.connect(config.database_path)
    return config.data_dir


@pytest.fixture
def file(folder):
    """Return `file(value)`, which writes the value as JSON, readable only by its owner, and returns the name."""

    def write(value, name="flow.json"):
        path = folder / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        path.chmod(0o600)
        return name

    return write


def call(*args, input=None):
    """Return the result of a command, which must succeed."""
    result = CliRunner().invoke(cli.main, args, input=input, obj=serve, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refused(*args, input=None):
    """Return the error of a command with wrong input: one line on stderr, exit code 2 and nothing else."""
    command = cli.main if args else click.Command("headrace", callback=workflow_server.main)
    with patch.object(sys, "argv", ["headrace", *args]):
        result = CliRunner().invoke(command, args, input=input, obj=serve, catch_exceptions=False)
    assert result.exit_code == 2 and result.stdout == "", result.output
    assert re.fullmatch(r"Error: .+\n", result.stderr), result.stderr
    return result.stderr


def roles():
    """Return the role of each member by address."""
    return {User.get_by_id(row.user_id).email: row.role for row in Membership.select()}
