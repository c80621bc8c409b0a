"""Nodes that read and write files: the workspace's, documents, S3."""
