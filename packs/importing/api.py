"""Import of cURL commands and OpenAPI documents as nodes, and the palette of imported presets."""

from __future__ import annotations

from typing import Any

import fields
from api.audit import record_change
from api.http.auth import get_user, get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import PageArgs, listed
from dispatch.process_limits import RequestLimit
from errors import BadInput, NotFound
from fields import Items, Json, Out, Strict, Time, text
from packs.importing import presets as preset_queries

blueprint = Resource("importing", "cURL commands and OpenAPI documents as nodes")
# A large document takes seconds.
IMPORTS = RequestLimit("to import documents", 2, 1)


class CurlIn(Strict):
    command = text(200_000, required=True)


class SuggestionOut(Out):
    """A credential to create: POST /api/credentials accepts it once the values in `sources` are added to `data`."""

    name = fields.String()
    type = fields.String()
    data = fields.Dict()
    sources = fields.Dict(help="Where to find the values that `data` lacks")
    hosts = fields.List(fields.String(), allow_none=True)


class ImportedOut(Out):
    node = fields.Dict()
    credentials = fields.List(fields.Nested(SuggestionOut))
    notes = fields.List(fields.String())


class DocumentIn(Strict):
    document = fields.Raw(
        required=True,
        metadata={"type": ["string", "object"]},
        help="OpenAPI 3 or Swagger 2, as an object, or as text: JSON or YAML",
    )


class PresetArgs(PageArgs):
    search = text(200, 0, is_stored=False, load_default=None)
    source = text(64, load_default=None)


class PresetOut(Out):
    id = fields.String()
    source = fields.String()
    title = fields.String()
    key = fields.String()
    name = fields.String()
    description = fields.String()
    tags = Json()
    node = Json(attribute="node_json", metadata={"type": "object"})
    parameters = Json(attribute="parameters_json", metadata={"type": "object"})
    credential_type = fields.String(allow_none=True)
    created_at = Time()


class PaletteOut(Out):
    source = fields.String()
    title = fields.String()
    server = fields.String(allow_none=True)
    count = fields.Integer()
    credentials = fields.List(fields.Nested(SuggestionOut))
    notes = fields.List(fields.String())
    presets = Items(fields.Nested(PresetOut))


@blueprint.post("/import/curl")
@require_role("editor")
@blueprint.arguments(CurlIn)
@blueprint.response(200, ImportedOut)
def curl(body: dict[str, str]) -> Any:
    """Convert a cURL command to an `http` node. Nothing is saved, and no secret is returned."""
    from packs.importing.curl import make_node

    return make_node(body["command"])


@blueprint.post("/import/openapi")
@require_role("editor")
@blueprint.arguments(DocumentIn)
@blueprint.response(201, PaletteOut)
def openapi(body: dict[str, Any]) -> Any:
    """Add a preset per operation of an OpenAPI document to the palette. Replaces those of the same title."""
    from packs.importing.palette import read

    document = body["document"]
    if not isinstance(document, str | dict):
        raise BadInput("document: must be text or an object with an OpenAPI document")
    with IMPORTS.taken(get_user().id):
        palette = read(document.encode() if isinstance(document, str) else document)
        rows = [preset.as_row() for preset in palette.presets]
    with record_change("preset.imported") as entry:
        presets = preset_queries.replace_source(get_workspace_id(), palette.source, palette.title, rows)
        entry.target("preset", palette.source, palette.title).note(presets=len(presets))
    return {**vars(palette), "count": len(presets), "presets": presets}


@blueprint.get("/presets")
@require_role("viewer")
@blueprint.arguments(PresetArgs, location="query")
@blueprint.response(200, listed(PresetOut))
def list_presets(args: dict[str, Any]) -> Any:
    """List the presets of the palette by document, the latest first."""
    found = preset_queries.select_where(get_workspace_id(), args["search"], args["source"])
    items, cursor = found.page(args["limit"], args["cursor"])
    return {"items": items, "next_cursor": cursor}


@blueprint.delete("/presets/<source>")
@require_role("editor")
@blueprint.response(204)
def delete(source: str) -> None:
    """Remove all presets of a document from the palette. Nodes created from them stay."""
    with record_change("preset.deleted") as entry:
        entry.target("preset", source, None)
        if not preset_queries.remove_source(get_workspace_id(), source):
            raise NotFound(f"There are no presets of {source[:64]!r}")
