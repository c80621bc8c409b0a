"""Formats: reads and writes CSV, JSON, XML, YAML, HTML and Markdown, and reads spreadsheets and PDF files."""

from packs.formats import documents, text_formats
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(text_formats, documents)
