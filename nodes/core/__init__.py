"""Core nodes: triggers, conditions and loops, waits, outputs, the workspace's store."""
