"""Execution of the nodes of a run: one node, a loop over items, and the types of the engine's input and output."""
