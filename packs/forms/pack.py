"""Forms: web pages that start runs, and pages on which people answer a waiting run."""

from packs.forms import nodes
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(nodes)
    registry.pages.append("packs.forms.addresses:install")
    registry.question_pages = "packs.forms.results"
