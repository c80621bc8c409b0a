"""What the connectors of chat services do beyond their files: pages by ids, files in several requests."""

import pytest
from connector_stub import answer

from errors import NodeError


def messages(*ids):
    return [{"id": str(id_), "content": f"text {id_}"} for id_ in ids]


def test_discord_pages_go_back_by_the_oldest_id(call_service):
    first = messages(*range(300, 200, -1))
    output, seen = call_service(
        "discord", "list_messages", {"channel": "10", "max_items": 150}, answer(first), answer(messages(200, 199))
    )
    assert [each["query"] for each in seen] == [{"limit": "100"}, {"before": "201", "limit": "50"}]
    assert [output[0]["id"], output[-1]["id"], len(output)] == ["300", "199", 102]


def test_discord_pages_after_an_id_go_forward_and_are_newest_first(call_service):
    config = {"channel": "10", "after": "5", "max_items": 150}
    output, seen = call_service(
        "discord", "list_messages", config, answer(messages(*range(105, 5, -1))), answer(messages(107, 106))
    )
    assert [each["query"] for each in seen] == [{"after": "5", "limit": "100"}, {"after": "105", "limit": "50"}]
    assert [each["id"] for each in output[:3]] == ["107", "106", "105"]


def test_discord_writes_to_a_person_by_their_channel(call_service):
    answers = answer({"id": "77"}), answer({"id": "1"})
    output, seen = call_service("discord", "send_direct_message", {"person": "9", "text": "Hi"}, *answers)
    assert [(each["url"], each["body"]) for each in seen] == [
        ("https://discord.com/api/v10/users/@me/channels", {"recipient_id": "9"}),
        ("https://discord.com/api/v10/channels/77/messages", {"content": "Hi"}),
    ]
    assert output == {"id": "1"}


def test_a_file_of_telegram_is_saved_where_the_flow_says(call_service):
    found = {"ok": True, "result": {"file_id": "A1", "file_path": "voice/file_2.oga"}}
    output, seen = call_service(
        "telegram", "download_file", {"file_id": "A1", "save_to": "in/note.ogg"}, answer(found),
        answer("sound", **{"Content-Type": "audio/ogg"}), credential=("secret", {"value": "123:ABC"}),
    )  # fmt: skip
    assert seen[1]["url"] == "https://api.telegram.org/file/bot123:ABC/voice/file_2.oga"
    assert (output["path"], call_service.files.read("in/note.ogg")) == ("in/note.ogg", b"sound")


def test_a_file_too_large_for_bots_is_an_error(call_service):
    with pytest.raises(NodeError, match="20 MB"):
        call_service(
            "telegram",
            "download_file",
            {"file_id": "A1"},
            answer({"ok": True, "result": {"file_id": "A1"}}),
            credential=("secret", {"value": "123:ABC"}),
        )


def test_a_refusal_of_slack_in_an_upload_is_an_error(call_service):
    refused = answer({"ok": False, "error": "not_in_channel"})
    place = answer({"ok": True, "upload_url": "https://files.slack.com/upload/v1/A", "file_id": "F1"})
    with pytest.raises(NodeError, match="not_in_channel"):
        call_service(
            "slack",
            "upload_file",
            {"file": "a.txt", "channel": "C1"},
            place,
            answer("OK", **{"Content-Type": "text/plain"}),
            refused,
            files={"a.txt": b"text"},
        )
