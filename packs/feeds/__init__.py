"""Nodes that read RSS and Atom feeds."""
