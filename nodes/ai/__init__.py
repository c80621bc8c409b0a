"""Nodes that ask language models: prompts, agents, what agents remember."""
