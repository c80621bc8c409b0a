"""The settings: one table for parsing and for the documents."""

import gc
import re
import runpy
from dataclasses import FrozenInstanceError
from pathlib import Path

import certifi
import pytest

import config
import workflow_server
from api.http.request_metrics import RequestMetrics
from config import Config, MailServer
from errors import ConfigError

ROOT = Path(__file__).parent.parent


def test_an_empty_environment_gives_the_defaults():
    settings = Config.from_env({})
    assert settings == Config()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 2)
    assert settings.max_body_bytes == 5 * 1024**2
    assert settings.egress_allow == ()


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Config().port = 1  # type: ignore[misc]


def test_an_empty_value_counts_as_not_set():
    assert Config.from_env({"PORT": " ", "HEADRACE_LLM_MODEL": ""}) == Config()


@pytest.mark.parametrize(
    ("text", "size"), [("123", 123), ("64K", 64 * 1024), ("2m", 2 * 1024**2), ("1G", 1024**3), (" 7k ", 7 * 1024)]
)
def test_a_size_is_a_number_or_has_a_unit(text, size):
    assert Config.from_env({"HEADRACE_MAX_BODY_BYTES": text}).max_body_bytes == size


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOST", "not a host"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("PORT", "٨٠"),
        ("WEB_CONCURRENCY", "-1"),
        ("HEADRACE_THREADS", "many"),
        ("HEADRACE_MAX_BODY_BYTES", "5X"),
        ("HEADRACE_MAX_BODY_BYTES", "0"),
        ("HEADRACE_MAX_BODY_BYTES", "2G"),
        ("HEADRACE_MAX_NODES", "9" * 5000),
        ("HEADRACE_DURABILITY", "FULL"),
        ("HEADRACE_ADMIN_EMAIL", "admin"),
        ("HEADRACE_EGRESS_ALLOW", "10.0.0.0/33"),
        ("HEADRACE_EGRESS_ALLOW", "10.0.0.1/8"),
        ("HEADRACE_EGRESS_ALLOW", "300.1.1.1"),
        ("HEADRACE_EGRESS_ALLOW", "https://example.com"),
        ("HEADRACE_EGRESS_ALLOW", "example.com:80"),
        ("HEADRACE_LLM_MODEL", "gpt-5"),
        ("HEADRACE_LLM_MODEL", "mistral:large"),
        ("HEADRACE_LLM_MODEL", "openai:"),
        ("HEADRACE_LLM_MODEL", "openai:gpt 5"),
        ("HEADRACE_LLM_MODEL", "test:x"),
        ("OPENAI_BASE_URL", "llm.internal:8000"),
        ("OPENAI_BASE_URL", "http://user:password@llm.internal"),
        ("ANTHROPIC_BASE_URL", "https://llm.internal/?key=1"),
        ("ANTHROPIC_BASE_URL", "ftp://llm.internal"),
        ("OLLAMA_BASE_URL", "http://"),
        ("OLLAMA_BASE_URL", "http://gpu:0/v1"),
        ("OLLAMA_BASE_URL", "http://gpu:99999/v1"),
        ("HEADRACE_LLM_TIMEOUT", "0"),
        ("HEADRACE_LLM_TIMEOUT", "1.5"),
        ("HEADRACE_LLM_STREAM", "yes"),
        ("HEADRACE_WORKSPACES", "nobody"),
        ("HEADRACE_MAX_WORKSPACES", "0"),
    ],
)
def test_a_wrong_value_is_rejected_with_its_name_the_value_and_the_allowed_values(name, text):
    allowed = next(row.kind.allowed for row in config.table() if row.env == name)
    with pytest.raises(ConfigError) as refused:
        Config.from_env({name: text})
    assert str(refused.value) == f"{name} is {text!r}; it must be {allowed}"


@pytest.mark.parametrize("name", ["test", "openai:gpt-5", "anthropic:claude-opus-5", "ollama:llama3:8b", "openai:a/b"])
def test_a_model_is_named_with_its_provider(name):
    assert Config.from_env({"HEADRACE_LLM_MODEL": name}).llm_model == name


def test_models_can_be_at_other_addresses():
    given = Config.from_env({"OPENAI_BASE_URL": "http://[::1]:8000/v1", "HEADRACE_LLM_STREAM": "false"})
    assert (given.openai_base_url, given.llm_stream) == ("http://[::1]:8000/v1", False)
    assert (Config().ollama_base_url, Config().llm_stream) == ("http://localhost:11434/v1", True)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"])
def test_the_key_of_a_provider_is_a_secret(name, tmp_path):
    (tmp_path / "key").write_text("sk-0123\n")
    given = Config.from_env({f"{name}_FILE": str(tmp_path / "key")})
    assert getattr(given, name.lower()) == "sk-0123" and "sk-0123" not in repr(given)
    with pytest.raises(ConfigError) as refused:
        Config.from_env({name: "sk 0123"})
    assert str(refused.value).startswith(f"{name} has a wrong value; it must be empty or a key")


def test_egress_accepts_hosts_addresses_and_networks():
    given = Config.from_env({"HEADRACE_EGRESS_ALLOW": "Localhost, 10.0.0.0/8,192.168.1.7, ::1,fd00::/8,"})
    assert given.egress_allow == ("localhost", "10.0.0.0/8", "192.168.1.7/32", "::1/128", "fd00::/8")


def test_authorities_need_a_file_with_certificates(tmp_path):
    assert Config.from_env({"HEADRACE_CA_FILE": certifi.where()}).ca_file == Path(certifi.where())
    (tmp_path / "empty.pem").write_text("no certificate")
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem", tmp_path, "a\0b"):
        with pytest.raises(ConfigError, match="HEADRACE_CA_FILE is .* in PEM format"):
            Config.from_env({"HEADRACE_CA_FILE": str(path)})


# Secrets


def test_a_secret_can_come_from_a_file_without_its_last_line_break(tmp_path):
    (tmp_path / "key").write_text("a key with a space at its end \n")
    settings = Config.from_env({"HEADRACE_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert settings.secret_key == "a key with a space at its end "


def test_a_secret_given_twice_is_rejected(tmp_path):
    (tmp_path / "key").write_text("k" * 32)
    with pytest.raises(ConfigError, match="HEADRACE_SECRET_KEY and HEADRACE_SECRET_KEY_FILE are both set"):
        Config.from_env({"HEADRACE_SECRET_KEY": "x" * 32, "HEADRACE_SECRET_KEY_FILE": str(tmp_path / "key")})


def test_an_unreadable_secret_file_is_rejected(tmp_path):
    with pytest.raises(ConfigError, match=r"HEADRACE_ADMIN_PASSWORD_FILE is .*nothing.* No such file"):
        Config.from_env({"HEADRACE_ADMIN_PASSWORD_FILE": str(tmp_path / "nothing")})
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Config.from_env({"HEADRACE_ADMIN_PASSWORD_FILE": str(tmp_path / "binary")})


def test_only_secrets_come_from_files(tmp_path):
    (tmp_path / "port").write_text("9000")
    assert Config.from_env({"PORT_FILE": str(tmp_path / "port")}).port == 8000


def test_a_wrong_secret_is_rejected_without_being_shown():
    with pytest.raises(ConfigError, match="HEADRACE_SECRET_KEY .*at least 16") as refused:
        Config.from_env({"HEADRACE_SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_secrets_are_never_in_the_repr():
    secrets = {row.env: f"sqlite:///hidden-{row.env}" for row in config.table() if row.kind.secret}
    secrets["HEADRACE_SMTP_URL"] = "smtp://ada:hidden-password@mail.example.org?from=flows@example.org"
    secrets["CELERY_BROKER_URL"] = "amqp://ada:hidden-password@broker.example.org"
    keys = {
        *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HEADRACE_SMTP_URL", "CELERY_BROKER_URL"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    }
    assert set(secrets) == {"DATABASE_URL", "HEADRACE_SECRET_KEY", "HEADRACE_ADMIN_PASSWORD"} | keys
    assert "hidden" not in repr(Config.from_env(secrets))


# The mail server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp://mail.example.org?from=a@b.org", MailServer("mail.example.org", 587, "starttls", "a@b.org")),
        ("smtp://127.0.0.1:2525/?from=a@b&starttls=false", MailServer("127.0.0.1", 2525, "none", "a@b")),
        (
            "smtps://ada:p%40ss%2Fword@m.org?from=a%2Bb@c.org",
            MailServer("m.org", 465, "tls", "a+b@c.org", "ada", "p@ss/word"),
        ),
        ("smtps://[::1]:1465?from=a@b", MailServer("::1", 1465, "tls", "a@b")),
        ("", None),
    ],
)
def test_a_mail_server_is_an_address_with_a_sender(text, expected):
    assert Config.from_env({"HEADRACE_SMTP_URL": text}).mail_server == expected


@pytest.mark.parametrize(
    "text",
    [
        "mail.example.org?from=a@b",
        "http://mail.example.org?from=a@b",
        "smtp://?from=a@b",
        "smtp://mail.example.org",
        "smtp://mail.example.org?from=a",
        "smtp://mail.example.org?from=a@b,c@d",
        "smtp://mail.example.org?from=a@b%0d%0aBcc:x@y",
        "smtp://mail.example.org?from=Flows <a@b>",
        "smtp://mail.example.org?from=a@b&tls=no",
        "smtp://mail.example.org?from=a@b&starttls=no",
        "smtp://mail.example.org:0?from=a@b",
        "smtp://mail.example.org:99999?from=a@b",
        "smtp://hunter2@mail.example.org?from=a@b",
        "smtp://mail.example.org/path?from=a@b",
        "smtp://mail.example.org?from=a@b#hunter2",
    ],
)
def test_a_wrong_mail_server_is_rejected_without_being_shown(text):
    with pytest.raises(ConfigError, match="HEADRACE_SMTP_URL .*smtp://") as refused:
        Config.from_env({"HEADRACE_SMTP_URL": text})
    assert "hunter2" not in str(refused.value) and "has a wrong value" in str(refused.value)


# The database and the data folder


def test_the_data_folder_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config().data_dir == tmp_path / "data"
    assert Config.from_env({"HEADRACE_DATA_DIR": "x/y"}).data_dir == tmp_path / "x" / "y"


def test_the_folder_of_node_types_is_optional_and_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config().nodes_dir is None is Config.from_env({"HEADRACE_NODES_DIR": " "}).nodes_dir
    assert Config.from_env({"HEADRACE_NODES_DIR": "own"}).nodes_dir == tmp_path / "own"


def test_the_database_is_in_the_data_folder_unless_its_url_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config(data_dir=Path("/srv")).database_path == Path("/srv/headrace.sqlite3")
    assert Config.from_env({"DATABASE_URL": "sqlite:////var/a%20b.db"}).database_path == Path("/var/a b.db")
    assert Config.from_env({"DATABASE_URL": "sqlite:///a.db"}).database_path == tmp_path / "a.db"


BESIDE_POSTGRES = {"HEADRACE_SECRET_KEY": "k" * 16, "HEADRACE_PUBLIC_URL": "https://flows.example.org"}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:hunter2@db/x", "postgresql://me@db/x"),
        ("postgres://me:hunter2%40%2f@db.example.org:5433/x?sslmode=verify-full", "postgres://me@db.example.org:5433/x"),
        ("postgresql://me@[::1]:5432/x", "postgresql://me@[::1]:5432/x"),
        ("postgresql://me:hunter2@one:5432,two:5432/x?target_session_attrs=read-write",
         "postgresql://me@one:5432,two:5432/x"),
        ("postgresql:///x?host=/run/postgresql&user=me&password=hunter2", "postgresql:///x"),
        ("postgresql://me@%2Frun%2Fpostgresql/x", "postgresql://me@%2Frun%2Fpostgresql/x"),
    ],
)  # fmt: skip
def test_a_postgresql_database_has_a_name_without_its_password(url, name):
    settings = Config.from_env({"DATABASE_URL": url, **BESIDE_POSTGRES})
    assert settings.is_postgres and settings.database == url and settings.database_name == name
    assert "hunter2" not in repr(settings)


def test_without_postgresql_the_name_of_the_database_is_its_path():
    assert Config(data_dir=Path("/srv")).database_name == "/srv/headrace.sqlite3"


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite:///", "sqlite:///:memory:", "a.db", "mysql://me:hunter2@db/x", "postgresql://me:hunter2@db"),
        *("postgresql://me:hunter2@db/", "postgresql://db", "postgresql:x"),
        # In these, the driver would take a part of the password for a host, a port or an escape, and show it.
        *("postgresql://me:hunter2@more@db/x", "postgresql://me:hunter2/a@db/x", "postgresql://me:hunter2#a@db/x"),
        *("postgresql://me:hunter2?a@db/x", "postgresql://me:hunter2%zz@db/x", "postgresql://me:hunter2%00@db/x"),
        *("postgresql://me:hunter2 a@db/x", "postgresql://me:a:hunter2@db/x", "postgresql://me:hunter2/x"),
    ],
)  # fmt: skip
def test_other_databases_are_rejected_without_showing_the_password(url):
    with pytest.raises(ConfigError, match="DATABASE_URL .*sqlite:///path/to/file.*postgresql://user:") as refused:
        Config.from_env({"DATABASE_URL": url, **BESIDE_POSTGRES})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("missing", [["HEADRACE_SECRET_KEY"], ["HEADRACE_PUBLIC_URL"], list(BESIDE_POSTGRES)])
def test_postgresql_needs_settings_that_all_machines_share(missing):
    given = {name: value for name, value in BESIDE_POSTGRES.items() if name not in missing}
    with pytest.raises(ConfigError) as refused:
        Config.from_env({"DATABASE_URL": "postgresql://me:hunter2@db/x", **given})
    needs = str(refused.value).partition("Set also: ")[2]
    assert [name for name in BESIDE_POSTGRES if name in needs] == missing and "hunter2" not in str(refused.value)


def test_the_key_for_postgresql_may_be_in_a_file(tmp_path):
    (tmp_path / "key").write_text("k" * 16)
    given = {"HEADRACE_SECRET_KEY_FILE": str(tmp_path / "key"), "HEADRACE_PUBLIC_URL": "https://flows.example.org"}
    assert Config.from_env({"DATABASE_URL": "postgresql://me@db/x", **given}).secret_key == "k" * 16


def test_a_folder_of_files_needs_postgresql(tmp_path):
    given = {"HEADRACE_FILES_DIR": str(tmp_path)}
    with pytest.raises(ConfigError, match="HEADRACE_FILES_DIR is set"):
        Config.from_env(given)
    postgres = {"DATABASE_URL": "postgresql://me@db/x", **BESIDE_POSTGRES}
    assert Config.from_env({**given, **postgres}).files_dir == tmp_path


STORE = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "hunter2"}


def test_a_store_of_large_values_needs_postgresql():
    given = {"HEADRACE_VALUES_URL": "s3://bucket/headrace/", **STORE}
    with pytest.raises(ConfigError, match="HEADRACE_VALUES_URL is set"):
        Config.from_env(given)
    made = Config.from_env({**given, "DATABASE_URL": "postgresql://me@db/x", **BESIDE_POSTGRES})
    assert made.values_url == "s3://bucket/headrace" and "hunter2" not in repr(made)


@pytest.mark.parametrize("missing", [["AWS_ACCESS_KEY_ID"], ["AWS_SECRET_ACCESS_KEY"], list(STORE)])
def test_a_store_of_large_values_needs_a_key(missing):
    given = {name: value for name, value in STORE.items() if name not in missing}
    postgres = {"DATABASE_URL": "postgresql://me@db/x", **BESIDE_POSTGRES}
    with pytest.raises(ConfigError) as refused:
        Config.from_env({"HEADRACE_VALUES_URL": "s3://bucket", **postgres, **given})
    said = str(refused.value)
    assert [name for name in STORE if name in said] == missing and "hunter2" not in said


@pytest.mark.parametrize(
    "text",
    ["bucket", "s3://", "s3://UPPER", "s3://a", "s3://key:hunter2@bucket", "s3://bucket/..", "s3://bucket/a?b=c"],
)
def test_a_place_that_is_not_a_bucket_is_rejected(text):
    with pytest.raises(ConfigError, match="HEADRACE_VALUES_URL .*s3://bucket/headrace"):
        Config.from_env({"HEADRACE_VALUES_URL": text, **STORE})


# Sources of values


def test_the_environment_takes_precedence_over_the_env_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("PORT=9000\nWEB_CONCURRENCY=5\nHEADRACE_ADMIN_PASSWORD='a${HOME}b'\n")
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.delenv("HEADRACE_ADMIN_PASSWORD", raising=False)
    settings = Config.from_env()
    assert (settings.port, settings.workers, settings.admin_password) == (9001, 5, "a${HOME}b")


def test_each_setting_has_its_own_variable_and_a_help_text():
    rows = config.table()
    assert len({row.env for row in rows}) == len(rows)
    assert all(row.help.endswith(".") and "|" not in row.help + row.kind.allowed for row in rows)


def test_the_generated_file_is_up_to_date():
    text = (ROOT / "deploy/.env.example").read_text(encoding="utf-8")
    assert text == config.env_example(), "deploy/.env.example is out of date; run: make docs"


def test_the_page_about_settings_has_each_with_its_default():
    text = config.settings_table()
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == [row.env for row in config.table()]
    assert "| `PORT` | `8000` | Port to listen on. | a whole number from 1 to 65535 |\n" in text
    assert "| `DATABASE_URL` (secret) | empty | " in text


# gunicorn.conf.py


class FakeWorker:
    """The attributes of a worker that gunicorn's hooks use."""

    def __init__(self, part, booted=True):
        self.app = self
        self.extensions = {"headrace": part}
        self.booted = booted

    def wsgi(self):
        return self


# Unknown names


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HEADRACE_LEASE_SECOND", "HEADRACE_LEASE_SECONDS"),
        ("HEADRACE_LEASE", "HEADRACE_LEASE_SECONDS"),
        ("HEADRACE_EGRES_ALLOW", "HEADRACE_EGRESS_ALLOW"),
        ("headrace_data_dir", "HEADRACE_DATA_DIR"),
        ("HEDRACE_DATA_DIR", "HEADRACE_DATA_DIR"),
        ("HEADRACE_SECRETKEY_FILE", "HEADRACE_SECRET_KEY_FILE"),
    ],
)
def test_a_misspelt_setting_is_reported_with_the_nearest_name_and_without_its_value(name, nearest):
    told = [f"{name} is not a setting, and has no effect; did you mean {nearest}?"]
    assert config.find_unknown_settings({name: "do not tell this", "PATH": "/bin"}) == told


def test_a_name_similar_to_no_setting_is_reported_too():
    (told,) = config.find_unknown_settings({"HEADRACE_XQZ": "1"})
    assert told == "HEADRACE_XQZ is not a setting, and has no effect; /docs/settings of the server lists all settings"


def test_settings_their_files_and_variables_of_other_programs_are_not_reported():
    known = {row.env: "" for row in config.table()}
    files = {f"{row.env}_FILE": "" for row in config.table() if row.kind.secret}
    others = {"PATH": "", "LANG": "", "DATABASE_HOST": "", "HOSTNAME": "", "OLLAMA_HOST": "", "HEADRACE_WEB": "no"}
    assert config.find_unknown_settings(known | files | others) == []


def test_every_variable_of_the_makefile_and_the_tests_is_known():
    read = [ROOT / "Makefile", ROOT / ".ci/run", ROOT / "deploy/compose.yaml", *(ROOT / "tests").rglob("*.py")]
    reading = re.compile(r"""\$[({]*(HEADRACE_[A-Z_]+)|environ(?:\.get\(|\[)"(HEADRACE_[A-Z_]+)""")
    names = {name for path in read for pair in reading.findall(path.read_text()) for name in pair if name}
    assert len(names) > 5 and config.find_unknown_settings(dict.fromkeys(names, "")) == []


def test_a_start_warns_of_misspelt_settings_in_the_environment_and_in_the_file(tmp_path, monkeypatch, caplog):
    for row in config.table():
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HEADRACE_GRACES=5\n")
    monkeypatch.setenv("HEADRACE_THREAD", "5")
    workflow_server.create_app()
    told = [record.getMessage() for record in caplog.records if "not a setting" in record.getMessage()]
    assert [text.split()[0] for text in told] == ["HEADRACE_GRACES", "HEADRACE_THREAD"]


class FakePart:
    shortcut, error_headers = None, ()

    def __init__(self):
        self.calls = []
        self.requests = RequestMetrics()

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")


@pytest.fixture
def gunicorn_conf(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # outside the reach of a developer's .env

    def load(**environ):
        for row in config.table():
            monkeypatch.delenv(row.env, raising=False)
        for name, text in environ.items():
            monkeypatch.setenv(name, text)
        return runpy.run_path(str(ROOT / "gunicorn.conf.py"))

    return load


@pytest.mark.parametrize(("host", "bind"), [("0.0.0.0", "0.0.0.0:81"), ("::1", "[::1]:81")])
def test_gunicorn_listens_at_the_address_of_the_settings(gunicorn_conf, host, bind):
    conf = gunicorn_conf(HOST=host, PORT="81", WEB_CONCURRENCY="3", HEADRACE_THREADS="4")
    assert (conf["bind"], conf["workers"], conf["threads"]) == (bind, 3, 4)


def test_a_worker_starts_and_stops_its_threads(gunicorn_conf):
    conf, part = gunicorn_conf(), FakePart()
    conf["post_worker_init"](FakeWorker(part))
    conf["worker_exit"](None, FakeWorker(part))
    assert part.calls == ["start", "stop"]


def test_the_master_stops_nothing_for_a_dead_worker(gunicorn_conf):
    conf, part = gunicorn_conf(), FakePart()
    conf["worker_exit"](None, FakeWorker(part, booted=False))
    assert part.calls == []


@pytest.mark.slow
def test_memory_is_frozen_before_the_fork(gunicorn_conf):
    gc.unfreeze()  # objects that the import of the server froze
    try:
        gunicorn_conf()["when_ready"](None)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_each_address_has_an_example_of_its_own():
    examples = re.findall(r"empty or an address such as (\S+)", config.settings_table())
    assert len(examples) >= 6 and len(set(examples)) == len(examples)
