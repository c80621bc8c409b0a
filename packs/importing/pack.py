"""Importing: cURL commands become nodes, and OpenAPI documents presets of the palette and connectors."""

from packs.importing import api
from registry import Registry

NEEDS = ("connectors", "formats")


def setup(registry: Registry) -> None:
    registry.add_api(api.blueprint)
    registry.commands.append("packs.importing.commands")
