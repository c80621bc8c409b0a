"""Files that services give and take within JSON: GitHub, OpenAI and Gemini."""

import base64

import pytest
from connector_stub import answer

from errors import NodeError

PLACE = {"owner": "o", "repo": "r", "path": "docs/a b.txt"}


def encode(data):
    return base64.b64encode(data).decode()


def file_of(data, **more):
    return answer(
        {
            "path": "docs/a b.txt",
            "name": "a b.txt",
            "sha": "s1",
            "size": len(data),
            "encoding": "base64",
            "content": encode(data),
            **more,
        }
    )


def test_a_file_that_is_not_text_is_saved(call_service):
    output, seen = call_service("github", "get_file", {**PLACE, "save_to": "in/a.bin"}, file_of(b"\xff\x00"))
    assert seen[0]["url"] == "https://api.github.com/repos/o/r/contents/docs/a%20b.txt"
    assert (output["sha"], call_service.files.read("in/a.bin")) == ("s1", b"\xff\x00")


@pytest.mark.parametrize(
    ("found", "says"),
    [(file_of(b"\xff"), "is not text"), (file_of(b"", encoding="none"), "too large"), (answer([]), "is a folder")],
)
def test_a_file_that_cannot_be_given_is_told(call_service, found, says):
    with pytest.raises(NodeError, match=says):
        call_service("github", "get_file", PLACE, found)


def test_a_file_that_does_not_exist_is_created_if_wanted(call_service):
    made = answer({"content": {"path": "docs/a b.txt", "sha": "s2"}, "commit": {"sha": "c1"}})
    config = {**PLACE, "text": "x", "create": True, "branch": "dev"}
    _, seen = call_service("github", "edit_file", config, answer({"message": "Not Found"}, 404), made)
    assert seen[0]["query"] == {"ref": "dev"}
    assert seen[1]["body"] == {"message": "Update docs/a b.txt", "branch": "dev", "content": "eA=="}


def test_a_file_that_does_not_exist_is_else_an_error(call_service):
    with pytest.raises(NodeError, match="404"):
        call_service("github", "edit_file", {**PLACE, "text": "x"}, answer({"message": "Not Found"}, 404))


def test_several_images_are_several_files(call_service):
    images = answer({"data": [{"b64_json": encode(b"one")}, {"b64_json": encode(b"two")}]})
    config = {"prompt": "A cat", "n": 2, "save_to": "cats/cat.png"}
    output, _ = call_service("openai", "create_image", config, images)
    assert [each["path"] for each in output["files"]] == ["cats/cat.png", "cats/cat-2.png"]
    assert call_service.files.read("cats/cat-2.png") == b"two"


def test_older_models_are_asked_for_the_image_itself(call_service):
    _, seen = call_service(
        "openai", "create_image", {"prompt": "A cat", "model": "dall-e-3"}, answer({"data": [{"b64_json": ""}]})
    )
    assert seen[0]["body"]["response_format"] == "b64_json"


def test_an_image_is_sent_with_the_question(call_service):
    said = answer({"output": [{"type": "reasoning"}, {"content": [{"type": "output_text", "text": "A cat."}]}]})
    config = {"question": "What?", "file": "cat.png", "detail": "low"}
    output, seen = call_service("openai", "analyze_image", config, said, files={"cat.png": b"image"})
    assert seen[0]["body"]["input"][0]["content"][1] == {
        "type": "input_image", "image_url": "data:image/png;base64,aW1hZ2U=", "detail": "low",
    }  # fmt: skip
    assert output["text"] == "A cat."


def test_a_refusal_to_make_an_image_is_an_error_with_its_text(call_service):
    said = answer({"candidates": [{"content": {"parts": [{"text": "I cannot do that."}]}}]})
    with pytest.raises(NodeError, match=r"made no image: I cannot do that\."):
        call_service("gemini", "create_image", {"prompt": "x"}, said)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(call_service, monkeypatch):
    monkeypatch.setattr("packs.connectors.services.gemini.MAX_FILE", 3)
    with pytest.raises(NodeError, match="has more than 3 bytes"):
        call_service("gemini", "analyze_file", {"question": "What?", "file": "a.png"}, files={"a.png": b"image"})
