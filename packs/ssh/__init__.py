"""The SSH node."""
