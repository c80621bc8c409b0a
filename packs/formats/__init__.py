"""Nodes that read and write formats of texts and files."""
