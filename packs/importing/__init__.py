"""Importing: requests described by other tools, as nodes and connectors."""
