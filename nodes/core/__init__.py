"""Nodes of the flow itself: triggers, conditions and loops, waits, outputs, the workspace's store."""
