"""Reference: the documentation at /docs, with pages about every node, setting, credential type and connector."""

from registry import Registry


def setup(registry: Registry) -> None:
    registry.pages.append("packs.reference.documentation:install")
