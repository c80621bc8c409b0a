"""Settings of forms: what a definition may say, colors that can be read, and files that nobody sent."""

import pytest
from form_pages import CV, EMAIL, NAME, make_definition

import engine
from errors import DefinitionError
from nodes.core.waits import complete, find_issues, make_schema
from nodes.files.staged import MARKS
from packs.forms.form import DARK_CARD, LIGHT_CARD, choose_accents, get_contrast
from scheduler.retention import Retention

CHOICE = {"kind": "choice", "name": "room", "title": "Room", "options": ["north"]}


@pytest.mark.parametrize("color", ["#ffffff", "#000000", "#ffd400", "#0b6e4f", "#7f7f7f", "#ff0000"])
def test_every_accent_can_be_read_on_a_light_and_a_dark_page(color):
    for accent, card in zip(choose_accents(color), (LIGHT_CARD, DARK_CARD), strict=True):
        color, text = (tuple(bytes.fromhex(one.removeprefix("#"))) for one in accent)
        assert get_contrast(color, card) >= 4.5
        assert get_contrast(color, text) >= 4.5
    assert choose_accents("#0b6e4f")[0].color == "#0b6e4f", "a good color stays"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "fields"),
        ([{"kind": "text", "title": "x"}], "is required; the answer is read by it"),
        ([{"kind": "heading"}], "is required; write the text"),
        ([NAME, {**EMAIL, "name": "name"}], "'name' is the name of an earlier field, too"),
        ([{**NAME, "name": "_x"}], "must be a letter"),
        ([{**CHOICE, "options": []}], "options"),
        ([{**CHOICE, "default": "south"}], "is not a valid answer"),
        ([{**NAME, "min": 3, "max": 2}], "must not be greater than the maximum"),
        ([{**CV, "max": 21}], "number of files"),
        ([{**CV, "accept": ["image/*"]}], "must be an ending such as .pdf"),
        ([NAME, {"kind": "page"}], "The last page is empty"),
        ([NAME, *[{"kind": "page"}, {"kind": "heading", "title": "x"}] * 20], "at most 20 pages"),
        ([{**NAME, "kind": "map"}], "kind"),
    ],
)
def test_a_wrong_field_is_refused(fields, words):
    with pytest.raises(DefinitionError) as refused:
        engine.plan(make_definition(fields=fields))
    assert words.lower() in refused.value.message.lower()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"path": "a/:id"}, "must not have parameters"),
        ({"access": "password"}, "credential"),
        ({"accent": "green"}, "must be a color"),
        ({"closes_at": "soon"}, "must be a time"),
        ({"embed": ["https://a.example/x"]}, "must be an origin"),
        ({"embed": ["*"]}, "must be an origin"),
        ({"thanks_text": "{{ output.x }}"}, "reads the output"),
        ({"thanks_text": "{{ secrets.x }}", "respond": "last"}, "cannot read secrets"),
        ({"thanks_text": "{{ input. }}"}, "thanks_text"),
    ],
)
def test_a_wrong_setting_is_refused(config, words):
    with pytest.raises(DefinitionError) as refused:
        engine.plan(make_definition(**config))
    assert words in refused.value.message.lower()


def test_answers_have_a_value_for_every_field_and_no_file_by_name():
    items = engine.plan(make_definition(fields=[NAME, CHOICE, CV])).by_id["form"].config.static["fields"]
    assert complete(items, {"name": "Ada"}) == {"name": "Ada", "room": None, "cv": None}
    assert "cv" not in make_schema(items)["properties"]
    assert find_issues(items, {"name": "Ada", "room": None}) == []
    assert [issue["path"] for issue in find_issues(items, {"name": "", "room": "south"})] == ["name", "room"]
    assert find_issues(items, {"name": "Ada", "cv": {"path": "secret.txt"}}) != []
    assert find_issues(items, "text") != []


def test_retention_deletes_files_that_nobody_sent(tmp_path, app, owner, config):
    server = app.extensions["headrace"]
    files = server.dispatcher.resources.files_of(owner.workspace.id)
    files.write(f"forms/run_{'0' * 26}/cv.pdf", b"x")
    (files.root / MARKS).mkdir()
    (files.root / MARKS / f"run_{'0' * 26}-00000000").touch()
    retention = Retention(server.config, server.dispatcher.resources.payloads, pause=lambda seconds: False)
    for _ in retention.steps(retention.wall()):
        pass
    assert len(files.find("forms/")) == 1, "its process may be alive"
    for _ in retention.steps(retention.wall() + 4_000_000):
        pass
    assert files.find("forms/") == []
