"""Folders, tags and favourites of flows: set, filtered by, counted, moved, and kept within their workspace."""

import pytest

from database import execute, fetch_value
from database.queries import workflows, workspaces
from models import AuditEntry, Membership, Workflow

pytestmark = pytest.mark.usefixtures("shared_server")

ECHO = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}


class Flows:
    """The flows of a client."""

    def __init__(self, client):
        self.client = client

    def make(self, name, **values):
        answer = self.client.post("/api/flows", {"name": name, "definition": ECHO, **values})
        assert answer.status_code == 201, answer.text
        return answer.json["id"]

    def names(self, **query):
        answer = self.client.get("/api/flows", query_string=query)
        assert answer.status_code == 200, answer.text
        return sorted(flow["name"] for flow in answer.json["items"])

    def item(self, id_):
        items = self.client.get("/api/flows", query_string={"brief": "true"}).json["items"]
        return next(item for item in items if item["id"] == id_)

    def label(self, *ids, status=200, **body):
        answer = self.client.post("/api/flows/labels", {"ids": list(ids), **body})
        assert answer.status_code == status, answer.text
        return answer.json

    def folders(self):
        return {one["path"]: one["flows"] for one in self.client.get("/api/folders").json["items"]}

    def tags(self):
        return {one["tag"]: one["flows"] for one in self.client.get("/api/tags").json["items"]}

    def move(self, folder, to, status=200):
        answer = self.client.post("/api/folders/move", {"folder": folder, "to": to})
        assert answer.status_code == status, answer.text
        return answer.json


@pytest.fixture
def flows(owner):
    return Flows(owner)


def last_changes():
    return AuditEntry.select().order_by(AuditEntry.id.desc()).get()


# One flow


def test_a_flow_is_made_in_a_folder_with_tags(flows, owner):
    id_ = flows.make("A", folder=" Billing / Invoices ", tags=["urgent", "Customer A", "urgent"])
    flow = owner.get(f"/api/workflows/{id_}").json
    assert (flow["folder"], flow["tags"]) == ("Billing/Invoices", ["Customer A", "urgent"])
    assert {name: flows.item(id_)[name] for name in ("folder", "tags", "favourite")} == {
        "folder": "Billing/Invoices",
        "tags": ["Customer A", "urgent"],
        "favourite": False,
    }


def test_a_flow_has_no_folder_and_no_tags_by_default(flows, owner):
    flow = owner.get(f"/api/workflows/{flows.make('A')}").json
    assert (flow["folder"], flow["tags"]) == (None, [])


def test_labels_alone_change_neither_version_nor_time(flows, owner):
    id_ = flows.make("A")
    before = owner.get(f"/api/workflows/{id_}").json
    after = owner.put(f"/api/workflows/{id_}", {"folder": "Shop", "tags": ["x"]}).json
    assert (after["folder"], after["tags"]) == ("Shop", ["x"])
    assert (after["version"], after["updated_at"]) == (before["version"], before["updated_at"])
    assert owner.put(f"/api/workflows/{id_}", {"folder": None}).json["folder"] is None
    assert owner.put(f"/api/workflows/{id_}", {"folder": "Shop", "version": 7}).status_code == 409


def test_a_flow_as_read_can_be_sent_back(flows, owner):
    path = f"/api/workflows/{flows.make('A', folder='Shop', tags=['x'])}"
    answer = owner.put(path, {**owner.get(path).json, "name": "B", "tags": ["y"]})
    assert answer.status_code == 200, answer.text
    assert (answer.json["name"], answer.json["folder"], answer.json["tags"]) == ("B", "Shop", ["y"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"folder": ""}, "folder"),
        ({"folder": "A//B"}, "single slashes"),
        ({"folder": "/A"}, "single slashes"),
        ({"folder": "A/B/C/D/E"}, "at most 4 levels"),
        ({"folder": "x" * 61}, "at most 60 characters"),
        ({"folder": "x\u202ey"}, "invisible"),
        ({"folder": 1}, "folder"),
        ({"tags": ["a,b"]}, "comma"),
        ({"tags": ["x" * 41]}, "tags"),
        ({"tags": [" "]}, "blank"),
        ({"tags": [f"t{number}" for number in range(21)]}, "tags"),
        ({"tags": None}, "tags"),
    ],
)
def test_bad_labels_are_refused_with_their_place(flows, owner, body, message):
    id_ = flows.make("A")
    answer = owner.put(f"/api/workflows/{id_}", body)
    assert answer.status_code == 400 and message in answer.text, answer.text
    assert flows.item(id_)["folder"] is None


def test_a_deleted_flow_leaves_no_labels(flows, owner):
    id_ = flows.make("A", folder="Shop", tags=["x"])
    owner.put(f"/api/workflows/{id_}/favourite")
    assert owner.delete(f"/api/workflows/{id_}").status_code == 204
    for table in ("workflow_folders", "workflow_tags", "favourites"):
        assert fetch_value(f"SELECT COUNT(*) FROM {table}") == 0
    assert flows.folders() == {} and flows.tags() == {}


# Lists


def test_the_list_is_filtered_by_folder(flows):
    flows.make("root")
    flows.make("billing", folder="Billing")
    flows.make("invoices", folder="Billing/Invoices")
    flows.make("other", folder="Billing2")
    assert flows.names(folder="Billing") == ["billing", "invoices"]
    assert flows.names(folder="Billing", subfolders="false") == ["billing"]
    assert flows.names(folder="billing") == []
    assert flows.names(subfolders="false") == ["root"]
    assert flows.names() == ["billing", "invoices", "other", "root"]


def test_the_list_is_filtered_by_tags(flows, owner):
    flows.make("a", tags=["x"])
    flows.make("b", tags=["x", "y"])
    assert flows.names(tag="x") == ["a", "b"]
    assert flows.names(tag="x,y") == ["b"]
    assert flows.names(tag="z") == []
    for tags in ("x,,y", ",".join(f"t{number}" for number in range(21)), "x" * 41):
        assert "tag" in owner.get(f"/api/flows?tag={tags}").json["error"]


def test_pages_of_a_filtered_list_continue(flows, owner):
    for number in range(5):
        flows.make(f"{number}", folder="Shop", tags=["x"])
        flows.make(f"other {number}")
    query = {"folder": "Shop", "tag": "x", "limit": 2, "sort": "name"}
    found, cursor = [], {}
    for _ in range(3):
        page = owner.get("/api/flows", query_string={**query, **cursor}).json
        found += [flow["name"] for flow in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert found == ["0", "1", "2", "3", "4"] and page["next_cursor"] is None


def test_folders_and_tags_are_counted_without_archived_flows(flows, owner):
    flows.make("a", folder="B/C", tags=["x"])
    flows.make("b", folder="A", tags=["x", "Y"])
    gone = flows.make("c", folder="A", tags=["z"])
    owner.put(f"/api/workflows/{gone}", {"status": "archived"})
    assert flows.folders() == {"A": 1, "B/C": 1}
    assert list(flows.tags().items()) == [("x", 2), ("Y", 1), ("z", 0)]


# Several flows


def test_flows_are_labelled_together(flows):
    ids = [flows.make(name, tags=["old"]) for name in "abc"]
    assert flows.label(*ids[:2], folder="Shop", add_tags=["new"], remove_tags=["old", "never"]) == {"changed": 2}
    assert [(flows.item(id_)["folder"], flows.item(id_)["tags"]) for id_ in ids] == [
        ("Shop", ["new"]),
        ("Shop", ["new"]),
        (None, ["old"]),
    ]
    assert flows.label(*ids, folder="Shop") == {"changed": 1}
    assert flows.label(*ids, folder=None) == {"changed": 3}
    assert flows.folders() == {}


def test_each_changed_flow_has_an_entry_with_its_labels(flows):
    ids = [flows.make(name) for name in "ab"]
    flows.label(ids[0], folder="Shop")
    before = AuditEntry.select().count()
    flows.label(*ids, folder="Shop", add_tags=["x"])
    entries = list(AuditEntry.select().order_by(AuditEntry.id.desc()).limit(2))
    assert AuditEntry.select().count() == before + 2
    assert {entry.action for entry in entries} == {"flow.updated"} and {entry.target_id for entry in entries} == set(
        ids
    )
    assert entries[0].changes == '{"folder":{"before":null,"after":"Shop"},"tags":{"before":[],"after":["x"]}}'


def test_of_flows_with_an_unknown_one_none_is_changed(flows, other):
    mine, foreign = flows.make("a"), Flows(other).make("b")
    for unknown in ("wf_1", foreign):
        assert "no flow" in flows.label(mine, unknown, folder="Shop", status=404)["error"]
    assert flows.folders() == Flows(other).folders() == {}


def test_the_request_is_bounded(flows):
    assert "ids" in flows.label(status=400, folder="A")["error"]
    assert "ids" in flows.label(*["wf_1"] * 201, status=400, folder="A")["error"]


def test_a_flow_has_at_most_20_tags(flows):
    id_ = flows.make("Full", tags=[f"t{number}" for number in range(20)])
    assert "'Full' would have more than 20 tags" in flows.label(id_, add_tags=["more"], status=409)["error"]
    flows.label(id_, add_tags=["more"], remove_tags=["t0"])
    assert len(flows.item(id_)["tags"]) == 20


def test_folders_and_tags_of_a_workspace_are_bounded(flows, monkeypatch):
    monkeypatch.setattr(workflows, "MAX_FOLDERS", 1)
    monkeypatch.setattr(workflows, "MAX_TAGS", 1)
    a, b = flows.make("a", folder="A", tags=["x"]), flows.make("b")
    assert "more than 1 folders" in flows.label(b, folder="B", status=409)["error"]
    assert "more than 1 tags" in flows.label(b, add_tags=["y"], status=409)["error"]
    flows.label(b, folder="A", add_tags=["x"])
    flows.label(a, b, folder="B")
    assert flows.folders() == {"B": 2}


# Folders


def test_a_folder_is_renamed_with_its_subfolders(flows):
    flows.make("a", folder="Billing")
    flows.make("b", folder="Billing/Invoices")
    flows.make("c", folder="Billing2")
    assert flows.move("Billing", "Finance/Billing") == {"changed": 2}
    assert flows.folders() == {"Billing2": 1, "Finance/Billing": 1, "Finance/Billing/Invoices": 1}
    assert last_changes().changes == '{"folder":{"before":"Billing","after":"Finance/Billing"},"flows":2}'


def test_a_folder_may_move_into_itself_and_its_parent(flows):
    flows.make("a", folder="A/B")
    flows.make("b", folder="A")
    flows.move("A", "A/B")
    assert flows.folders() == {"A/B": 1, "A/B/B": 1}
    flows.move("A/B", "A")
    assert flows.folders() == {"A": 1, "A/B": 1}
    flows.move("A", None)
    assert flows.folders() == {"B": 1} and flows.names(subfolders="false") == ["b"]


def test_a_folder_that_moves_onto_another_one_is_merged(flows):
    flows.make("a", folder="A")
    flows.make("b", folder="B")
    flows.move("A", "B")
    assert flows.folders() == {"B": 2}
    assert flows.move("B", "B") == {"changed": 0}


def test_a_move_that_makes_paths_too_deep_is_refused(flows):
    flows.make("a", folder="A/B/C")
    error = flows.move("A", "X/Y/Z", status=400)["error"]
    assert error == "to: the subfolder 'A/B/C' would become 'X/Y/Z/B/C', which must have at most 4 levels"
    flows.make("a", folder=f"B/{'y' * 60}")
    assert "at most 200 characters" in flows.move("B", "/".join(["x" * 60] * 3), status=400)["error"]
    assert "no folder" in flows.move("nowhere", "A", status=404)["error"]


def test_a_move_stays_within_the_workspace(flows, other):
    foreign = Flows(other)
    foreign.make("a", folder="A")
    flows.make("a", folder="A")
    flows.move("A", "B")
    assert (flows.folders(), foreign.folders()) == ({"B": 1}, {"A": 1})
    assert foreign.tags() == {} and foreign.names(folder="B") == []


# Favourites


def test_favourites_are_of_one_user(flows, member, owner):
    id_, unmarked = flows.make("a"), flows.make("b")
    viewer = Flows(member("viewer"))
    assert viewer.client.put(f"/api/workflows/{id_}/favourite").status_code == 204
    assert viewer.client.put(f"/api/workflows/{id_}/favourite").status_code == 204
    assert viewer.names(favourite="true") == ["a"] and viewer.names(favourite="false") == ["b"]
    assert viewer.item(id_)["favourite"] and not viewer.item(unmarked)["favourite"]
    assert flows.names(favourite="true") == [] and not flows.item(id_)["favourite"]
    assert viewer.client.delete(f"/api/workflows/{id_}/favourite").status_code == 204
    assert viewer.names(favourite="true") == []


def test_a_list_is_not_cached_for_another_user(flows, member):
    id_ = flows.make("a")
    first, second = Flows(member("viewer")), Flows(member("viewer"))
    first.client.put(f"/api/workflows/{id_}/favourite")
    for _ in range(2):
        assert (first.item(id_)["favourite"], second.item(id_)["favourite"]) == (True, False)


def test_a_member_who_leaves_keeps_no_favourites(flows, member, owner):
    id_, viewer = flows.make("a"), member("viewer")
    viewer.put(f"/api/workflows/{id_}/favourite")
    viewer.post("/api/saved-filters", {"name": "n", "query": {"outcome": "failed"}})
    workspaces.leave(Membership.get(user_id=viewer.user.id))
    assert execute("SELECT COUNT(*) FROM favourites").fetchone()[0] == 0
    assert execute("SELECT COUNT(*) FROM saved_filters").fetchone()[0] == 0


def test_a_viewer_neither_moves_nor_tags(flows, member):
    id_ = flows.make("a", folder="A")
    viewer = Flows(member("operator"))
    viewer.label(id_, folder="B", status=403)
    viewer.move("A", "B", status=403)
    assert viewer.client.put(f"/api/workflows/{id_}", {"folder": "B"}).status_code == 403
    assert viewer.folders() == {"A": 1}


def test_a_flow_deleted_meanwhile_is_not_marked(flows, owner):
    id_ = flows.make("a")
    flow = Workflow.find(id_)
    workflows.remove(flow)
    workflows.set_favourite(owner.user.id, id_, True)
    assert fetch_value("SELECT COUNT(*) FROM favourites") == 0
