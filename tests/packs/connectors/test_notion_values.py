"""Notion: properties as plain values, in both directions, and text as blocks."""

import pytest
from connector_stub import answer

from errors import NodeError
from packs.connectors.services.notion import SHAPES, flatten

ID = "d9824bdc-8445-4327-be8b-5b47500af6ce"
LINK = f"https://www.notion.so/acme/Tasks-{ID.replace('-', '')}?v=0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "value", "shaped"),
    [
        ("title", "Hi", [{"type": "text", "text": {"content": "Hi"}}]),
        ("rich_text", 5, [{"type": "text", "text": {"content": "5"}}]),
        ("rich_text", None, []),
        ("number", "3.5", 3.5),
        ("number", "", None),
        ("select", "New", {"name": "New"}),
        ("status", None, None),
        ("multi_select", "a, b", [{"name": "a"}, {"name": "b"}]),
        ("multi_select", [], []),
        ("date", "2026-03-01", {"start": "2026-03-01"}),
        ("date", ["2026-03-01", "2026-03-02"], {"start": "2026-03-01", "end": "2026-03-02"}),
        ("people", ["u1"], [{"object": "user", "id": "u1"}]),
        ("relation", ID, [{"id": ID}]),
        ("files", ["https://example.com/a.pdf"], [{"name": "a.pdf", "type": "external", "external": {"url": "https://example.com/a.pdf"}}]),
        ("checkbox", "yes", True),
        ("checkbox", False, False),
        ("url", "", None),
        ("email", "ann@example.com", "ann@example.com"),
    ],
)  # fmt: skip
def test_plain_values_get_the_shape_of_their_property(kind, value, shaped):
    assert SHAPES[kind](value) == shaped


def test_long_text_is_divided():
    assert [len(piece["text"]["content"]) for piece in SHAPES["rich_text"]("x" * 4_500)] == [2_000, 2_000, 500]


@pytest.mark.parametrize(
    ("kind", "found", "plain"),
    [
        ("title", [{"plain_text": "a"}, {"plain_text": "b"}], "ab"),
        ("select", None, None),
        ("status", {"name": "Done"}, "Done"),
        ("multi_select", [{"name": "a"}], ["a"]),
        ("date", {"start": "2026-03-01", "end": None}, "2026-03-01"),
        ("date", {"start": "2026-03-01", "end": "2026-03-02"}, ["2026-03-01", "2026-03-02"]),
        ("people", [{"id": "u1", "name": "Ann"}, {"id": "u2"}], ["Ann", "u2"]),
        ("files", [{"file": {"url": "https://a"}}, {"external": {"url": "https://b"}}], ["https://a", "https://b"]),
        ("formula", {"type": "number", "number": 3}, 3),
        ("rollup", {"type": "array", "array": [{"type": "number", "number": 1}]}, [1]),
        ("unique_id", {"prefix": "T", "number": 7}, "T-7"),
        ("checkbox", False, False),
    ],
)
def test_properties_become_plain_values(kind, found, plain):
    assert flatten({"type": kind, kind: found}) == plain


def database(*sources):
    return answer({"object": "database", "data_sources": [{"id": f"s-{name}", "name": name} for name in sources]})


def source(**kinds):
    return answer({"object": "data_source", "properties": {name: {"type": kind} for name, kind in kinds.items()}})


def test_a_database_is_found_by_its_link(call_service):
    made = answer({"id": "p1", "properties": {}})
    config = {"database": LINK, "properties": {"Name": "a", "Link": {"url": "https://x"}}}
    found = source(Name="title", Link="url")
    _, seen = call_service("notion", "create_database_page", config, database("Tasks"), found, made)
    assert seen[0]["url"] == f"https://api.notion.com/v1/databases/{ID}"
    assert seen[2]["body"]["parent"] == {"data_source_id": "s-Tasks"}
    assert seen[2]["body"]["properties"]["Link"] == {"url": "https://x"}


@pytest.mark.parametrize("chosen", ["Old", "s-Old"])
def test_a_data_source_is_chosen_by_its_name_or_id(call_service, chosen):
    config = {"database": ID, "source": chosen}
    _, seen = call_service("notion", "query_database", config, database("Tasks", "Old"), answer({"results": []}))
    assert seen[1]["url"] == "https://api.notion.com/v1/data_sources/s-Old/query"


@pytest.mark.parametrize("chosen", [{}, {"source": "New"}])
def test_it_must_be_chosen_if_there_are_several(call_service, chosen):
    with pytest.raises(NodeError, match="source: choose one of the database's data sources: Tasks, Old"):
        call_service("notion", "query_database", {"database": ID, **chosen}, database("Tasks", "Old"))


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"Colour": "red"}, "no 'Colour'; there are Name, Sum, N"),
        ({"Sum": 1}, "'Sum' is of the kind formula, which cannot be set"),
        ({"N": "many"}, "'many' is not a number"),
    ],
)
def test_values_that_do_not_fit_are_refused(call_service, properties, says):
    config = {"database": ID, "properties": properties}
    with pytest.raises(NodeError, match=says):
        found = source(Name="title", Sum="formula", N="number")
        call_service("notion", "create_database_page", config, database("Tasks"), found)


def test_a_long_text_is_appended_in_parts(call_service):
    made = answer({"id": "p1", "url": "https://www.notion.so/p1"})
    config = {"parent": ID, "title": "Log", "text": "\n".join(map(str, range(150)))}
    output, seen = call_service("notion", "create_page", config, made, answer({"results": []}))
    assert [len(each["body"]["children"]) for each in seen] == [100, 50]
    assert seen[1]["url"] == "https://api.notion.com/v1/blocks/p1/children"
    assert output == {"id": "p1", "url": "https://www.notion.so/p1"}


def test_a_filter_and_a_time_hold_both(call_service):
    wanted = {"property": "Name", "title": {"contains": "a"}}
    config = {"database": ID, "filter": wanted, "changed_after": "2026-03-01T00:00:00Z"}
    _, seen = call_service("notion", "query_database", config, database("Tasks"), answer({"results": []}))
    assert seen[1]["body"]["filter"]["and"][0] == wanted
    assert seen[1]["body"]["filter"]["and"][1]["last_edited_time"] == {"on_or_after": "2026-03-01T00:00:00Z"}


def test_what_is_neither_an_id_nor_a_link_is_refused(call_service):
    with pytest.raises(NodeError, match="neither an id nor a link"):
        call_service("notion", "get_page", {"page": "My page"})


def test_the_text_of_a_page_is_read_to_its_end(call_service):
    def blocks(text, more):
        block = {"type": "paragraph", "paragraph": {"rich_text": [{"plain_text": text}]}}
        return answer({"results": [block], "has_more": more, "next_cursor": "c2" if more else None})

    page = answer({"id": ID, "properties": {}})
    output, seen = call_service(
        "notion", "get_page", {"page": ID, "text": True}, page, blocks("One", True), blocks("Two", False)
    )
    assert output["text"] == "One\nTwo"
    assert seen[2]["query"]["start_cursor"] == "c2"
