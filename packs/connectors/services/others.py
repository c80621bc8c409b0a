"""Handlers of services with one or two: `slack_upload_file` is the handler `upload_file` of slack.json."""

from __future__ import annotations

import hashlib
import mimetypes
from typing import Any

from errors import MalformedData, NodeError
from nodes.http.body import FileName, parse_json
from packs.connectors.operation import ConnectorExchange
from packs.connectors.services.google_drive import upload

DISCORD_PAGE = 100


def airtable_list_fields(x: ConnectorExchange) -> list[Any]:
    """Return the fields of a table, which is named by its id or its name."""
    tables = x.read(x.send("GET", "/meta/bases/{base}/tables"))["tables"]
    for table in tables:
        if x.inputs["table"] in (table["id"], table["name"]):
            return list(table["fields"])[: x.config["max_items"]]
    names = ", ".join(table["name"] for table in tables)[:300]
    raise NodeError(f"table: the base has no table {x.inputs['table']!r}; it has {names}", permanent=True)


def clickup_set_custom_fields(x: ConnectorExchange) -> dict[str, Any]:
    """Set custom fields of a task, each with a request. Return `{"ok": true}`."""
    for id_, value in x.inputs["custom_fields"].items():
        path = x.url("/task/{task_id}/field/{field}", {**x.inputs, "field": id_})
        x.send("POST", path, body={"value": value}, part=f":{id_}")
    return {"ok": True}


def discord_list_messages(x: ConnectorExchange) -> list[Any]:
    """Return messages of a channel, newest first: the newest, or those next to the given ones."""
    most = x.config["max_items"]
    found: list[Any] = []
    side = "after" if "after" in x.inputs else "before"
    query = {side: x.inputs[side]} if side in x.inputs else {}
    while len(found) < most:
        x.ctx.pause(0)
        size = min(DISCORD_PAGE, most - len(found))
        page = x.read(x.send("GET", "/channels/{channel}/messages", query={**query, "limit": size}))
        found += page
        if len(page) < size:
            break
        ids = [int(message["id"]) for message in page]
        query = {side: str(max(ids) if side == "after" else min(ids))}
    return sorted(found, key=lambda message: int(message["id"]), reverse=True)


def discord_send_direct_message(x: ConnectorExchange) -> dict[str, Any]:
    """Write to a person. Return the message."""
    channel = x.read(x.send("POST", "/users/@me/channels", body={"recipient_id": x.inputs["person"]}, part=":channel"))
    names = {"text": "content", "embeds": "embeds"}
    body = {theirs: x.inputs[ours] for ours, theirs in names.items() if ours in x.inputs}
    path = x.url("/channels/{channel}/messages", {"channel": channel["id"]})
    return dict(x.read(x.send("POST", path, body=body)))


def linkedin_upload_image(x: ConnectorExchange) -> dict[str, str]:
    """Upload the image of `file` for `owner`. Return `{"image": urn}` for a post."""
    asked: dict[str, Any] = {"initializeUploadRequest": {"owner": x.inputs["owner"]}}
    made = parse_json(x.send("POST", "/rest/images", query={"action": "initializeUpload"}, body=asked))
    place = made.get("value") if isinstance(made, dict) else None
    if not isinstance(place, dict) or not all(isinstance(place.get(key), str) for key in ("uploadUrl", "image")):
        raise MalformedData("LinkedIn gave no address for the upload")
    x.send("PUT", place["uploadUrl"], body=x.encode(x.inputs["file"], "file"), part=":2")
    return {"image": place["image"]}


def mailchimp_tag_member(x: ConnectorExchange) -> dict[str, Any]:
    """Add tags to a member. Return `{"ok": true}`."""
    address = x.inputs["email"].strip().lower()
    member = hashlib.md5(address.encode(), usedforsecurity=False).hexdigest() if "@" in address else address
    tags = [{"name": tag, "status": "active"} for tag in x.inputs["tags"]]
    path = x.url("/lists/{audience}/members/{member}/tags", {**x.inputs, "member": member})
    x.send("POST", path, body={"tags": tags})
    return {"ok": True}


# Set by other inputs, or by other requests.
JIRA_OWN = [
    "project",
    "issuetype",
    "summary",
    "description",
    "assignee",
    "priority",
    "labels",
    "parent",
    "attachment",
    "issuelinks",
]


def jira_list_fields(x: ConnectorExchange) -> list[Any]:
    """Return the fields of issues of a project and a type, except fields that are separate inputs."""
    types = x.read(x.send("GET", "/issue/createmeta/{project}/issuetypes"))["issueTypes"]
    found = next((each for each in types if x.inputs["type"].casefold() == each["name"].casefold()), None)
    if found is None:
        names = ", ".join(each["name"] for each in types)[:300]
        raise NodeError(f"type: the project has no issue type {x.inputs['type']!r}; it has {names}", permanent=True)
    path = x.url("/issue/createmeta/{project}/issuetypes/{type}", {**x.inputs, "type": found["id"]})
    fields = x.read(x.send("GET", path, query={"maxResults": 200}, part=":fields"))["fields"]
    return [each for each in fields if each["fieldId"] not in JIRA_OWN][: x.config["max_items"]]


SLACK_NAMES = {"channel": "channel_id", "comment": "initial_comment", "thread": "thread_ts"}


def slack_upload_file(x: ConnectorExchange) -> dict[str, Any]:
    """Upload a file in three steps: get an address, send the content there, share the file. Return the file."""
    named = FileName(x.inputs["file"], "file")
    about = {"filename": named.name, "length": x.ctx.need_files().size(named.path)}
    place = x.read(x.send("GET", "/files.getUploadURLExternal", query=about))
    x.send("POST", place["upload_url"], body=x.encode(x.inputs["file"], "file"), part=":content")
    body = {"files": [{"id": place["file_id"], "title": x.inputs.get("title") or named.name}]}
    body |= {theirs: x.inputs[ours] for ours, theirs in SLACK_NAMES.items() if ours in x.inputs}
    files = x.read(x.send("POST", "/files.completeUploadExternal", body=body, part=":share")).get("files")
    if not files:
        raise NodeError("Slack did not confirm the upload")
    return dict(files[0])


def supabase_list_columns(x: ConnectorExchange) -> list[Any]:
    """Return the columns of a table: a required one has no default, and is not the primary key."""
    tables = x.read(x.send("GET", "/"))["definitions"]
    if x.inputs["table"] not in tables:
        names = ", ".join(tables)[:300]
        raise NodeError(f"table: the project has no table {x.inputs['table']!r}; it has {names}", permanent=True)
    table = tables[x.inputs["table"]]
    return [
        {
            "name": name,
            **told,
            "required": name in table.get("required", ())
            and "default" not in told
            and "<pk" not in told.get("description", ""),
        }
        for name, told in table["properties"].items()
    ][: x.config["max_items"]]


def telegram_download_file(x: ConnectorExchange) -> dict[str, Any]:
    """Save a file that was sent to the bot. Return the file with its id."""
    found = x.read(x.send("POST", "/getFile", body={"file_id": x.inputs["file_id"]}))["result"]
    if "file_path" not in found:
        raise NodeError("file_id: Telegram does not offer this file; bots can download up to 20 MB", permanent=True)
    path = found["file_path"]
    base = x.config.get("address") or x.connector["base"]
    place = x.url(f"{base.replace('/bot{credential}', '/file/bot{credential}')}/{{+path}}", {"path": path})
    made = x.download("GET", place, name=path.rpartition("/")[2])
    return {"file_id": found["file_id"], "file_path": path, **made}


def whatsapp_download_media(x: ConnectorExchange) -> dict[str, Any]:
    """Save a file that somebody sent. Return the file with its id."""
    found = x.read(x.send("GET", "/{media}"))
    type_ = found["mime_type"].partition(";")[0]
    name = found["id"] + (mimetypes.guess_extension(type_) or "")
    made = x.download("GET", found["url"], name=name)
    return {"id": found["id"], "mime_type": found["mime_type"], **made}


def youtube_upload_video(x: ConnectorExchange) -> dict[str, Any]:
    """Upload a video. Return `{"id", "title", "url"}`."""
    given = x.inputs
    snippet = {"title": given["title"], "categoryId": given["category"]}
    snippet |= {name: given[name] for name in ("description", "tags") if name in given}
    status = {"privacyStatus": given["privacy"], "selfDeclaredMadeForKids": given["for_kids"]}
    if "publish_at" in given:
        status["publishAt"] = given["publish_at"]
    query = {"part": "snippet,status", **({"notifySubscribers": given["notify"]} if "notify" in given else {})}
    about = {"snippet": snippet, "status": status}
    made = upload(x, query, about, x.encode(given["file"], "file"))
    title = made.get("snippet", {}).get("title", given["title"])
    return {"id": made["id"], "title": title, "url": f"https://www.youtube.com/watch?v={made['id']}"}


def youtube_list_playlists(x: ConnectorExchange) -> list[Any]:
    """Return the playlists of a channel, or one's own."""
    whose = {"channelId": x.inputs["channel"]} if "channel" in x.inputs else {"mine": "true"}
    query = {"part": "snippet,contentDetails,status", **whose}
    return x.items("GET", "/playlists", query=query, result="items")
