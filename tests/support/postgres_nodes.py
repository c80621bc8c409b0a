"""PostgreSQL servers that are killed, started again, copied to a standby, and promoted."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from children import end_child, start_child
from servers import until
from sql_servers import POSTGRES, free_port, program

START_SECONDS = 60
OPTIONS = {
    "listen_addresses": "*",  # only this machine may log in, unless `admit` lets others in
    "fsync": "off",  # the machine does not fail, only its processes
    "wal_level": "replica",
    "max_wal_senders": 4,
    "max_connections": 100,
    "wal_receiver_status_interval": 1,
}


class Node:
    """A server with its own folder and port, which `start` starts again. With `primary`, a standby of that server.

    Everybody may log in. The owner of its database `app` is the user `app`.
    """

    def __init__(self, primary=None):
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-node-"))
        self.data, self.port, self.process, self.identity = self.folder / "data", free_port(), None, {}
        if os.geteuid() == 0:  # it refuses to run as root
            nobody = pwd.getpwnam("nobody")
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        if primary is None:
            self._run(
                "initdb", "-D", self.data, "-U", "postgres", "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C"
            )
        else:
            source = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
            self._run("pg_basebackup", "-D", self.data, "-d", source, "-R", "-c", "fast", "--no-sync")
        self.start()
        if primary is None:
            self.admin("CREATE ROLE app LOGIN")
            self.admin("CREATE DATABASE app OWNER app")

    @staticmethod
    def _program(name):
        return str(Path(program("initdb", POSTGRES)).resolve().with_name(name))

    def _run(self, name, *arguments):
        command = [self._program(name), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.folder, **self.identity)
        assert done.returncode == 0, done.stderr

    def start(self):
        """Start the server, and return when it answers. After a kill, its other processes have to end first."""
        options = {**OPTIONS, "port": self.port, "unix_socket_directories": str(self.folder)}
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        end = time.monotonic() + START_SECONDS
        while True:
            if self.process is None or self.process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self.process = start_child(
                        [self._program("postgres"), "-D", str(self.data), *arguments], seconds=None, stdout=log,
                        stderr=log, cwd=self.folder, **self.identity,
                    )  # fmt: skip
            try:
                return self.admin("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder / "log").read_text(errors="replace")[-2000:]
                time.sleep(0.05)

    def kill(self, number=signal.SIGKILL):
        """End the postmaster: SIGKILL, or SIGQUIT, which is `pg_ctl -m immediate`."""
        self.process.send_signal(number)
        self.process.wait(START_SECONDS)

    def admin(self, sql, database="postgres"):
        """Execute a statement as the administrator; its rows."""
        address = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**address, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def url(self, host="127.0.0.1"):
        return f"postgresql://app@{host}:{self.port}/app"

    def admit(self, network):
        """Let this network in too, from the next start on."""
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {network} trust\n")

    def require_standby(self):
        """Have commits wait for the standby, which is connected."""
        self.admin("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.admin("SELECT pg_reload_conf()")
        sync = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: self.admin(sync), "the standby is synchronous", START_SECONDS)

    def promote(self):
        assert self.admin("SELECT pg_promote(true, 30)") == [(True,)]

    def close(self):
        if self.process is not None:
            self.kill(signal.SIGQUIT)
            end_child(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def need_postgres():
    """Skip the test if this machine has no PostgreSQL."""
    if program("initdb", POSTGRES) is None:
        pytest.skip("this machine has no PostgreSQL")
