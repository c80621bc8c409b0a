"""Nodes that read and write the files of a workspace."""
