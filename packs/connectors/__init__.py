"""Connectors: node types for services, written as data in `data/`. docs/connectors.md has the format."""
