"""Processes are killed while runs write to a table: no row is lost, and none is written twice."""

import http.client
import threading
from contextlib import closing, suppress

import pytest
from record import ask, settled
from servers import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

RUNS = 60  # started before each kill
KILLS = 2


def write(id_, operation, **config):
    return {"id": id_, "type": "table", "config": {"operation": operation, "table": "orders", **config}}


FLOW = {
    "nodes": [
        {"id": "start", "type": "manual"},
        write("insert", "insert", values={"number": "{{ trigger.n }}", "total": 0}),
        write("add", "increment", where={"number": "{{ trigger.n }}"}, column="total", by=2),
        write("sum", "increment", where={"number": "sum"}, column="total"),
    ],
    "edges": [["start", "insert"], ["insert", "add"], ["add", "sum"]],
}
WRITTEN = "SELECT COUNT(*) AS count FROM data_rows"


def test_writes_of_killed_runs_are_done_once(serve, start_load, seeded):
    server = serve()
    columns = [{"name": "number", "type": "text"}, {"name": "total", "type": "number"}]
    table = server.call("POST", "/api/tables", {"name": "orders", "columns": columns})["id"]
    server.call("POST", f"/api/tables/{table}/rows", {"rows": [{"number": "sum", "total": 0}]})
    load = start_load(server.add_flow(FLOW), server)
    for _ in range(KILLS):
        before = written(server)
        load.start(RUNS)
        goal = before + seeded.randint(1, RUNS // 2)
        until(lambda goal=goal: written(server) >= goal, "some rows are written")
        server.kill()
        server.start()
        load.join()
    settled(server.database)
    runs = ask(server.database, "SELECT id, status FROM runs")
    assert {run.status for run in runs} == {"success"}
    rows = server.call("GET", f"/api/tables/{table}/rows?limit=200")["items"]
    totals = {row["values"]["number"]: row["values"]["total"] for row in rows}
    assert len(rows) == len(totals) == len(runs) + 1
    assert totals.pop("sum") == len(runs) and set(totals.values()) == {2}


def test_an_import_of_a_killed_server_is_undone(serve):
    server = serve()
    columns = [{"name": "number", "type": "number"}]
    table = server.call("POST", "/api/tables", {"name": "orders", "columns": columns})["id"]
    server.call("POST", f"/api/tables/{table}/rows", {"rows": [{"number": -1}]})
    lines = "number\n" + "".join(f"{number}\n" for number in range(90_000))
    head = '--edge\r\nContent-Disposition: form-data; name="file"; filename="may.csv"\r\n\r\n'
    sent = {"Authorization": f"Bearer {server.token}", "Content-Type": "multipart/form-data; boundary=edge"}

    def send():
        caller = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        with suppress(OSError, http.client.HTTPException), closing(caller):
            caller.request("POST", f"/api/tables/{table}/import", f"{head}{lines}\r\n--edge--\r\n", sent)
            caller.getresponse()

    sender = threading.Thread(target=send)
    sender.start()
    until(lambda: written(server) > 2_000, "a part is written")
    server.kill()
    sender.join(PATIENCE)
    assert 2_000 < written(server) < 90_000
    server.start()
    until(lambda: written(server) == 1, "the import is undone")
    (shown,) = server.call("GET", "/api/tables")["items"]
    assert shown["row_count"] == 1


def written(server):
    (row,) = ask(server.database, WRITTEN)
    return row.count
