"""A web process and workers behind PgBouncer, with the settings of docs/scale.md."""

import re
import shutil
import time

import psycopg
import pytest
from children import end_child, start_child
from linked_team import LinkedTeam, outage
from postgres_nodes import Node, need_postgres
from sql_servers import free_port
from world import ROOT

pytestmark = pytest.mark.slow

START_SECONDS = 30
BACK_SECONDS = 10


class PgBouncer:
    """PgBouncer before this server, with the settings of the documentation; only addresses and paths are replaced."""

    def __init__(self, program, node):
        self.program, self.folder, self.process, self.port = program, node.folder, None, free_port()
        self.identity = node.identity
        users = self.folder / "userlist.txt"
        users.write_text('"headrace" "password"\n', "utf-8")
        text = (ROOT / "docs/scale.md").read_text("utf-8").partition("```ini\n")[2].partition("```")[0]
        for place, name in (
            ("host=postgres.example.com dbname=headrace", f"host=127.0.0.1 port={node.port} dbname=app"),
            ("listen_port = 6432", f"listen_port = {self.port}\nunix_socket_dir ="),
            ("/etc/pgbouncer/userlist.txt", str(users)),
        ):
            assert place in text
            text = text.replace(place, name)
        self.settings = self.folder / "pgbouncer.ini"
        self.settings.write_text(text, "utf-8")

    @property
    def url(self):
        return f"postgresql://headrace:password@127.0.0.1:{self.port}/headrace"

    def start(self):
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.process = start_child([self.program, str(self.settings)], seconds=None, stdout=log, stderr=log,
                                       **self.identity)  # fmt: skip
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                return psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder / "pgbouncer.log").read_text()[-2000:]
                time.sleep(0.02)

    def kill(self):
        end_child(self.process)


@pytest.fixture
def bouncer():
    need_postgres()
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("this machine has no PgBouncer (Debian: pgbouncer)")
    node = Node()
    made = PgBouncer(program, node)
    try:
        node.admin("ALTER ROLE app RENAME TO headrace")
        made.start()
        yield made
    finally:
        if made.process is not None:
            made.kill()
        node.close()


@pytest.fixture
def team(bouncer, tmp_path, tell):
    made = LinkedTeam(tmp_path, bouncer.url)
    tell("processes", made.last_lines)
    try:
        yield made.start()
    finally:
        made.close()


def test_a_server_works_behind_it_and_recovers_from_its_restart(team, bouncer, effects):
    flow = team.add_flow(effects.url, "pooled")
    seen = outage(team, "pooled", bouncer.kill, bouncer.start, 1)
    team.check(flow, seen.ids, effects)
    assert seen.back < BACK_SECONDS
    said = "".join(line for each in team.all for line in list(each.lines))
    assert not re.search("prepared statement .* does not exist", said)
