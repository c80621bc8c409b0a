"""Questions of the items of a loop, answered by the API and by links."""

from urllib.parse import urlsplit

import pytest
from servers import until

pytestmark = pytest.mark.usefixtures("shared_server")

FLOW = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "ask", "type": "approval", "config": {"message": "Pay {{ item }}?"}, "foreach": "{{ input }}"},
        {"id": "yes", "type": "noop"},
        {"id": "no", "type": "noop"},
    ],
    "edges": [["start", "ask"], ["ask", "yes", "approved"], ["ask", "no", "rejected"]],
}


def test_each_item_is_asked_and_answered_on_its_own(owner, client, make_flow):
    flow = make_flow(FLOW, None, name="Payments")
    flow_id = flow["id"] if isinstance(flow, dict) else flow.id
    run = owner.post(f"/api/workflows/{flow_id}/run?wait=0", {"input": [10, 20, 30]}).json
    path = f"/api/runs/{run['id']}"
    until(lambda: len(owner.get(path).json["questions"]) == 3, "all items are asked")
    asked = owner.get(path).json["questions"]
    assert [(one["node_id"], one["item_index"], one["text"]) for one in asked] == [
        ("ask:0", 0, "Pay 10?"), ("ask:1", 1, "Pay 20?"), ("ask:2", 2, "Pay 30?"),
    ]  # fmt: skip
    assert owner.post(f"{path}/resume", {"answer": "approved"}).status_code == 400
    assert owner.post(f"{path}/resume", {"node_id": "ask:2", "answer": "rejected"}).status_code == 200
    assert owner.post(f"{path}/resume", {"node_id": "ask:2", "answer": "approved"}).status_code == 409
    steps = owner.get(f"{path}/steps").json["items"]
    (link,) = [step["output"]["approved_url"] for step in steps if step.get("index") == 0 and step["node_id"] == "ask"]
    relative = urlsplit(link)._replace(scheme="", netloc="").geturl()
    assert "Pay 10?" in client.get(relative, headers={"Accept": "text/html"}).text
    assert client.post(relative, {}).status_code == 200
    assert owner.post(f"{path}/resume", {"node_id": "ask:1", "answer": "approved"}).status_code == 200
    until(lambda: owner.get(path).json["status"] == "success", "the run ends")
    ended = owner.get(path).json
    assert [one["item"] for one in ended["output"]["yes"]] == [10, 20]
    assert [one["item"] for one in ended["output"]["no"]] == [30]
    counts = {one["node_id"]: one for one in owner.get(f"{path}/counts").json["items"]}
    taken = {one["branch"]: one["count"] for one in counts["ask"]["branches"]}
    assert taken == {"approved": 2, "rejected": 1, "timeout": 0}
    (yes,) = [step for step in owner.get(f"{path}/steps").json["items"] if step["node_id"] == "yes"]
    assert [one["item"] for one in yes["input"]] == [10, 20]
