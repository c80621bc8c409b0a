"""The S3 node, and the store of large values."""
