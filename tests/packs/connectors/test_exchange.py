"""What a connector's file can say, as the request that leaves and the output: with files of our own."""

import json

import pytest
from connector_stub import HOST, Stub, aim, answer
from marshmallow import ValidationError

from definition import check as check_flow
from errors import NodeError
from packs.connectors import connector_files
from packs.connectors.file_schema import check
from packs.connectors.forms import list_options
from packs.connectors.node import make, make_trigger
from packs.oauth.settings import providers

BEARER = {"type": "http_bearer", "title": "Token"}
EXAMPLE = {"config": {}, "request": {"method": "GET", "url": "https://api.example.com/x"}, "output": None}


def shop(*operations, **more):
    """Return a connector with these operations."""
    made = [
        {"id": "do_it", "name": "Do it", "description": "Does it.", "example": EXAMPLE, **each} for each in operations
    ]
    return {
        "name": "Shop", "description": "A shop.", "category": "sales", "icon": {"text": "Sh", "color": "#1a5fb4"},
        "base": "https://api.example.com/v1", "auth": [BEARER], "operations": made, **more,
    }  # fmt: skip


@pytest.fixture
def call(httpserver, make_ctx):
    """`call(connector, config, *answers)` returns the output of its first operation, and the requests."""

    def execute(connector, config, *answers, credential=("http_bearer", {"token": "tok-1"}, [HOST])):
        stub = Stub(httpserver, answers)
        check(connector)
        node = make("shop", aim(connector, stub.port))
        ctx, execute.lines = make_ctx(credentials={"mine": credential} if credential else {})
        given = {"operation": connector["operations"][0]["id"], **config}
        given |= {"credential": "mine"} if credential else {}
        execute.seen = stub.seen
        return node.run(node.schema(given).load(given), None, ctx), stub.seen

    return execute


def test_inputs_go_where_the_file_says(call):
    inputs = {
        "id": {"title": "Id", "required": True},
        "folder": {"title": "Folder"},
        "tag": {"title": "Tags", "type": "list", "in": "query", "style": "comma"},
        "trace": {"title": "Trace", "in": "header", "name": "X-Trace"},
        "title": {"title": "Title", "name": "fields.summary"},
        "kind": {"title": "Kind", "name": "fields.kind.id"},
        "more": {"title": "More", "type": "object", "name": ""},
        "absent": {"title": "Absent"},
    }
    operation = {"method": "POST", "path": "/items/{id}/in/{+folder}", "inputs": inputs}
    config = {
        "id": "a/b?c", "folder": "x y/z", "tag": ["p", "q"], "trace": "t1", "title": "Tea", "kind": "7",
        "more": {"n": None}, "absent": None,
    }  # fmt: skip
    output, (seen,) = call(shop(operation), config, answer({"ok": 1}))
    assert output == {"ok": 1}
    assert seen["url"] == "https://api.example.com/v1/items/a%2Fb%3Fc/in/x%20y/z"
    assert seen["query"] == {"tag": "p,q"} and seen["headers"]["x-trace"] == "t1"
    assert seen["body"] == {"fields": {"summary": "Tea", "kind": {"id": "7"}}, "n": None}
    assert seen["headers"]["authorization"] == "Bearer tok-1"


def test_quotes_in_a_quoted_part_of_the_path_are_doubled(call):
    operation = {"path": "/root/search(q='{text}')/{text}", "inputs": {"text": {"title": "Text", "required": True}}}
    _, (seen,) = call(shop(operation), {"text": "Ann's"}, answer({}))
    assert seen["url"] == "https://api.example.com/v1/root/search(q='Ann%27%27s')/Ann%27s"


@pytest.mark.parametrize("value", [".", "..", "a/../b"])
def test_an_input_cannot_lead_out_of_the_path(call, value):
    operation = {"path": "/items/{+id}", "inputs": {"id": {"title": "Id", "required": True}}}
    with pytest.raises(NodeError, match="id: must not be"):
        call(shop(operation), {"id": value})


def test_a_body_can_be_made_by_a_query_without_the_inputs_that_are_not_given(call):
    inputs = {
        "to": {"title": "To", "type": "list"},
        "subject": {"title": "Subject"},
        "extra": {"title": "Extra", "type": "object"},
    }
    body = "{message: {subject: subject, toRecipients: to[].{address: @}, cc: cc, extra: extra}, save: `true`}"
    operation = {"method": "POST", "path": "/send", "inputs": inputs, "body": body}
    _, (seen,) = call(shop(operation), {"to": "a@b.c", "extra": {"x": None}}, answer({}))
    assert seen["body"] == {"message": {"toRecipients": [{"address": "a@b.c"}], "extra": {"x": None}}, "save": True}


def test_a_form_can_write_nested_values_in_brackets(call):
    inputs = {
        "amount": {"title": "Amount", "type": "integer"},
        "meta": {"title": "Meta", "type": "object", "name": "metadata"},
    }
    operation = {"method": "POST", "path": "/pay", "inputs": inputs, "body_type": "form", "brackets": True}
    _, (seen,) = call(shop(operation), {"amount": 5, "meta": {"order": {"id": 7}, "tags": ["x"]}}, answer({}))
    assert seen["body"] == {"amount": "5", "metadata[order][id]": "7", "metadata[tags][0]": "x"}


def refused(call, rules, body, status=400, **headers):
    """Return the error of an answer with a bad status, by these rules of the connector."""
    with pytest.raises(NodeError) as caught:
        call(shop({"method": "POST", "path": "/do"}, error=rules), {}, answer(body, status, **headers))
    return caught.value


def test_an_error_shows_the_message_of_the_service(call):
    body = {"long": "x" * 400, "error": {"message": "No such\n item", "at": [{"field": "name"}], "hint": None}}
    found = refused(call, {"message": "error.message"}, body)
    assert found.message.endswith("answered 400 BAD REQUEST: No such item")
    assert (found.kind, found.permanent) == ("refused", True)
    found = refused(call, {"message": "[error.message, error.at, error.hint]"}, body)
    assert found.message.endswith(': No such item; [{"field": "name"}]')


@pytest.mark.parametrize("rules", [{}, {"message": "error.message"}, {"message": "join(' ', error)"}])
def test_an_error_without_the_message_shows_the_answer(call, rules):
    assert refused(call, rules, {"error": "gone"}).message.endswith('400 BAD REQUEST: {"error":"gone"}')
    page = answer("<p>Bad gateway</p>", 502, **{"Content-Type": "text/html"})
    with pytest.raises(NodeError, match="502 BAD GATEWAY: Bad gateway") as caught:
        call(shop({"path": "/do"}, error=rules), {}, page)
    assert caught.value.kind == "remote" and not caught.value.permanent


def test_a_code_tells_more_than_a_bad_status(call):
    rules = {"message": "said", "code": "to_string(code)", "credential": ["190"], "transient": ["4"]}
    found = {}
    for code in (190, 4, 7):
        error = refused(call, rules, {"said": "no", "code": code})
        found[code] = (error.kind, error.permanent)
    assert found == {190: ("credential", True), 4: ("remote", False), 7: ("refused", True)}
    assert refused(call, rules, {"code": 4}).message.endswith(': {"code": 4}')


def test_the_message_of_a_service_shows_no_secret(call):
    assert refused(call, {"message": "m"}, {"m": "bad token tok-1"}).message.endswith(": bad token ***")


def test_an_error_in_a_good_answer_is_an_error_of_its_kind(call):
    told = {"when": "ok == `false`", "message": "error", "credential": ["bad_token"], "transient": ["busy"]}
    connector = shop({"method": "POST", "path": "/do"}, error=told)
    found = {}
    for code in ("bad_token", "busy", "no_such_channel"):
        with pytest.raises(NodeError, match=f"refused: {code}") as caught:
            call(connector, {}, answer({"ok": False, "error": code}))
        found[code] = (caught.value.kind, caught.value.permanent)
    assert found == {
        "bad_token": ("credential", True), "busy": ("remote", False), "no_such_channel": ("refused", True),
    }  # fmt: skip


def test_a_token_for_a_client_goes_into_the_header_of_the_service(call, httpserver):
    way = {"type": "oauth2_client_credentials", "title": "App", "header": "X-Shop-Token"}
    data = {"token_url": httpserver.url_for("/https/shop/token"), "client_id": "in-header", "client_secret": "s3cret-1"}
    tokens = answer({"access_token": "shpat-1", "expires_in": 86_399})
    credential = ("oauth2_client_credentials", data, [HOST])
    output, seen = call(shop({"path": "/x"}, auth=[way]), {}, tokens, answer({"id": 1}), credential=credential)
    assert output == {"id": 1} and seen[1]["headers"]["x-shop-token"] == "shpat-1"
    assert "authorization" not in seen[1]["headers"]


def test_no_page_is_smaller_than_the_service_gives(call):
    pages = {"type": "cursor", "path": "next", "param": "cursor", "size": 100, "min_size": 10, "size_param": "limit"}
    operation = {"path": "/items", "list": True, "result": "items", "pagination": pages}
    found = {"items": [{"id": number} for number in range(10)], "next": "c2"}
    output, seen = call(shop(operation), {"max_items": 3}, answer(found))
    assert [each["id"] for each in output] == [0, 1, 2]
    assert [request["query"] for request in seen] == [{"limit": "10"}]


def test_a_list_is_read_over_its_pages_up_to_max_items(call):
    pages = {"type": "cursor", "path": "next", "param": "cursor", "size": 2, "size_param": "limit"}
    operation = {"path": "/items", "list": True, "result": "data.items", "pagination": pages}
    first, second = {"data": {"items": [1, 2]}, "next": "c2"}, {"data": {"items": [3, 4]}, "next": "c3"}
    output, seen = call(shop(operation), {"max_items": 3}, answer(first), answer(second))
    assert output == [1, 2, 3]
    assert [each["query"] for each in seen] == [{"limit": "2"}, {"limit": "2", "cursor": "c2"}]


def test_a_list_that_a_service_leaves_out_is_empty(call):
    pages = {"type": "cursor", "path": "next", "param": "page", "items": "files"}
    operation = {"path": "/files", "list": True, "result": "[].{id: id}", "pagination": pages}
    assert call(shop(operation), {}, answer({"kind": "list"}))[0] == []
    assert call(shop(operation), {}, answer({"files": [{"id": 1, "x": 2}]}))[0] == [{"id": 1}]


def test_graphql_sends_variables_and_reads_below_data(call):
    operation = {
        "graphql": "mutation ($title: String!) { add(title: $title) { id } }", "result": "add",
        "inputs": {"title": {"title": "Title", "required": True}},
    }  # fmt: skip
    output, (seen,) = call(shop(operation), {"title": "Tea"}, answer({"data": {"add": {"id": "1"}}}))
    assert output == {"id": "1"} and seen["body"]["variables"] == {"title": "Tea"}
    with pytest.raises(NodeError, match="no such team"):
        call(shop(operation), {"title": "Tea"}, answer({"data": None, "errors": [{"message": "no such team"}]}))


def test_the_host_is_the_one_of_the_credential(call):
    connector = shop({"path": "/me"}, base="https://{host}/rest")
    output, (seen,) = call(connector, {}, answer({"id": 1}))
    assert output == {"id": 1} and seen["url"] == "https://host.example.com/rest/me"
    for hosts in ([HOST, "b.example.com"], ["*.example.com"], []):
        with pytest.raises(NodeError, match="exactly one allowed host"):
            call(connector, {}, credential=("http_bearer", {"token": "tok-1"}, hosts))


def test_a_secret_in_the_address_goes_only_to_its_hosts_and_into_no_message(call):
    connector = shop(
        {"path": "/get"}, base="https://api.example.com/bot{credential}", auth=[{"type": "secret", "in": "path"}]
    )
    output, (seen,) = call(connector, {}, answer({"ok": 1}), credential=("secret", {"value": "12:AB-secret"}, [HOST]))
    assert output == {"ok": 1} and seen["url"].endswith("/bot12:AB-secret/get")
    with pytest.raises(NodeError) as caught:
        call(connector, {}, credential=("secret", {"value": "12:AB-secret"}, ["other.example.com"]))
    assert "may not be sent" in caught.value.message and "AB-secret" not in caught.value.message


def test_a_connector_with_accounts_needs_a_credential(call):
    with pytest.raises(ValidationError, match="credential"):
        call(shop({"path": "/me"}), {}, credential=None)
    output, (seen,) = call(shop({"path": "/me"}, auth_optional=True), {}, answer({"id": 1}), credential=None)
    assert output == {"id": 1} and "authorization" not in seen["headers"]


def test_a_file_with_mistakes_is_refused_with_all_their_places():
    wrong = shop(
        {"path": "/a/{nope}"}, {"id": "b", "result": "[", "path": "/b"},
        {"id": "c", "path": "/c", "inputs": {"timeout": {"title": "T"}}},
    )  # fmt: skip
    wrong["icon"]["color"] = "red"
    with pytest.raises(ValueError, match="icon.color: must be such as") as caught:
        check(wrong)
    assert "operations[1].result: is not JMESPath" in str(caught.value)
    assert "operations[2].inputs.timeout: is a name that every node has" in str(caught.value)
    with pytest.raises(ValueError, match=r"operations\[0\].id: {nope} in the address is not an input"):
        check(shop({"path": "/a/{nope}"}))


def test_a_node_is_checked_by_the_inputs_of_its_operation():
    def issues(**config):
        node = {"id": "it", "type": "clickup", "config": {"credential": "mine", **config}}
        _, found = check_flow({"nodes": [{"id": "start", "type": "manual"}, node], "edges": [["start", "it"]]})
        return [(issue.path, issue.message) for issue in found]

    assert issues(operation="create_task", list_id="1", name="{{ input.name }}") == []
    assert issues() == [("nodes[1].config.operation", "is required")]
    assert issues(list_id="1") == [("nodes[1].config.operation", "is required")]
    assert issues(operation="create_task", list_id="1") == [("nodes[1].config.name", "is required")]
    ((path, message),) = issues(operation="delete_task", task_id="1", priority="2")
    assert path == "nodes[1].config.priority" and "unknown setting" in message
    ((path, message),) = issues(operation="create", task_id="1")
    assert path == "nodes[1].config.operation" and "create_task" in message


def test_an_unknown_type_gets_the_name_of_a_connector():
    _, found = check_flow({"nodes": [{"id": "it", "type": "clickupp"}], "edges": []})
    assert "did you mean 'clickup'?" in found[0].message


def test_values_for_a_setting_are_read_from_the_service(httpserver, make_ctx):
    inputs = {"board": {"title": "Board", "required": True}, "list": {"title": "List", "options": {
        "operation": "lists", "value": "id", "label": "name", "inputs": {"board": "board"}}}}  # fmt: skip
    listing = {
        "id": "lists",
        "path": "/boards/{board}/lists",
        "list": True,
        "inputs": {"board": {"title": "B", "required": True}},
    }
    connector = shop({"path": "/add", "inputs": inputs}, listing)
    check(connector)
    stub = Stub(httpserver, [answer([{"id": 1, "name": "To do"}, {"id": 2, "name": ""}, {"name": "x"}])])
    node = make("shop", aim(connector, stub.port))
    ctx, _ = make_ctx(credentials={"mine": ("http_bearer", {"token": "tok-1"}, [HOST])})
    found = list_options(node, "do_it", "list", {"credential": "mine", "board": "b 1"}, ctx)
    assert found == ([{"value": "1", "label": "To do"}, {"value": "2", "label": "2"}], False)
    assert stub.seen[0]["url"].endswith("/boards/b%201/lists")
    with pytest.raises(NodeError, match="Fill in first: B"):
        list_options(node, "do_it", "list", {"credential": "mine"}, ctx)


def test_an_input_that_is_not_marked_is_never_taken_from_a_list(call):
    """A deletion without a thing to delete must not find the only one by itself."""
    item = {"title": "Item", "options": {"operation": "list_items", "value": "id"}}
    delete = {"method": "DELETE", "path": "/items/{item}", "inputs": {"item": item}, "response": "none"}
    connector = shop(delete, {"id": "list_items", "path": "/items", "list": True})
    with pytest.raises(NodeError, match="item: is required here"):
        call(connector, {}, answer([{"id": "only"}]))
    assert not call.seen
    item["options"]["take_only"] = True
    _, seen = call(connector, {}, answer([{"id": "only"}]), answer(None))
    assert [(one["method"], one["url"]) for one in seen] == [
        ("GET", "https://api.example.com/v1/items"), ("DELETE", "https://api.example.com/v1/items/only"),
    ]  # fmt: skip


def test_a_trigger_offers_the_values_of_lists_that_it_does_not_poll(httpserver, make_ctx):
    stub = Stub(httpserver, [answer({"bases": [{"id": "app1", "name": "Sales"}]})])
    node = make_trigger("airtable_poll", aim(connector_files.read("airtable"), stub.port))
    ctx, _ = make_ctx(credentials={"mine": ("http_bearer", {"token": "tok-1"}, [HOST])})
    table = node.schema({"operation": "list_records"}).fields["table"]
    assert table.metadata["x-options"]["needs"] == ["base"]
    found = list_options(node, "list_records", "base", {"credential": "mine", "every": 60}, ctx)
    assert found == ([{"value": "app1", "label": "Sales"}], False)


def test_values_are_offered_without_their_prefix_and_only_those_that_fit(httpserver, make_ctx):
    models = [
        {"name": f"models/{name}", "displayName": name.title(), "supportedGenerationMethods": methods}
        for name, methods in (
            ("talker", ["generateContent"]), ("image-maker", ["generateContent"]), ("measure", ["embedContent"]),
            ("x", None),
        )
    ]  # fmt: skip
    stub = Stub(httpserver, [answer({"models": models})] * 3)
    node = make("gemini", aim(connector_files.read("gemini"), stub.port))
    ctx, _ = make_ctx(credentials={"mine": ("http_header", {"name": "x-goog-api-key", "value": "key-1"}, [HOST])})

    def offered(operation):
        return [one["value"] for one in list_options(node, operation, "model", {"credential": "mine"}, ctx)[0]]

    assert offered("generate_text") == ["talker", "image-maker"]
    assert offered("create_image") == ["image-maker"]
    assert offered("create_embedding") == ["measure"]


def test_connectors_of_a_folder_join_and_replace_ours(tmp_path):
    own = shop({"path": "/x"})
    (tmp_path / "our_shop.json").write_text(json.dumps(own))
    (tmp_path / "clickup.json").write_text(json.dumps({**own, "name": "Our ClickUp"}))
    (tmp_path / "Bad-Name.json").write_text(json.dumps(own))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "_draft.json").write_text("{")
    try:
        broken = connector_files.load_own(tmp_path)
        assert [each.file for each in broken] == ["Bad-Name.json", "broken.json"]
        assert connector_files.find("our_shop").title == "Shop"
        assert connector_files.find("clickup").title == "Our ClickUp"
        assert {"our_shop", "clickup"} <= {entry["type"] for entry in connector_files.list_entries()}
    finally:
        connector_files.load_own(None)
    assert connector_files.find("our_shop") is None and connector_files.find("clickup").title == "ClickUp"


def test_a_setting_of_the_wrong_type_is_refused():
    schema = make("shop", shop({"path": "/x", "inputs": {"n": {"title": "N", "type": "integer", "min": 1}}})).schema(
        {"operation": "do_it"}
    )
    for value, told in ((0, "greater than or equal"), ("x", "Not a valid integer")):
        with pytest.raises(ValidationError, match=told):
            schema.load({"operation": "do_it", "n": value})


def test_services_for_accounts_of_a_folder_join_and_replace_ours(tmp_path):
    named = {"name": "Our GitLab", "authorization_url": "https://git.example.com/oauth/authorize"}
    gitlab = {**providers()["gitlab"], **named}
    file = tmp_path / "oauth_providers.json"
    try:
        file.write_text(json.dumps({"providers": [gitlab, {**gitlab, "id": "our_git"}]}))
        assert connector_files.load_own(tmp_path) == []
        assert providers()["gitlab"]["name"] == providers()["our_git"]["name"] == "Our GitLab"
        file.write_text(json.dumps({"providers": [{**gitlab, "token_url": "http://git.example.com/token"}]}))
        (broken,) = connector_files.load_own(tmp_path)
        assert broken.file == "oauth_providers.json" and "token_url" in broken.reason
    finally:
        connector_files.load_own(None)
    assert providers()["gitlab"]["name"] == "GitLab" and "our_git" not in providers()


@pytest.mark.parametrize(
    ("type_", "operation", "config", "body", "text"),
    [
        (
            "github", "get_repository", {"owner": "a", "repo": "b"},
            {"message": "Validation Failed", "errors": [{"field": "title", "code": "missing_field"}]},
            'Validation Failed; [{"field": "title", "code": "missing_field"}]',
        ),
        (
            "jira", "get_issue", {"issue": "SHOP-7"}, {"errorMessages": [], "errors": {"summary": "It is missing."}},
            '{"summary": "It is missing."}',
        ),
        ("jira", "get_issue", {"issue": "SHOP-7"}, {"code": 401, "message": "Unauthorized"}, "Unauthorized"),
        (
            "whatsapp", "send_text", {"phone": "1", "to": "2", "text": "x"},
            {"error": {"message": "(#130429) Rate limit hit", "code": 130429}}, "(#130429) Rate limit hit",
        ),
    ],
)  # fmt: skip
def test_the_message_of_a_real_service_says_what_is_wrong(call_service, type_, operation, config, body, text):
    with pytest.raises(NodeError) as caught:
        call_service(type_, operation, config, answer(body, 400))
    assert caught.value.message.endswith(f"400 BAD REQUEST: {text}")
    assert caught.value.permanent is (type_ != "whatsapp")
