"""Connectors: node types for services, written as data in `connectors_data/`. docs/connectors.md has the format."""
