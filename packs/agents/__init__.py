"""Agents, and nodes that ask language models."""
