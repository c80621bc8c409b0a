"""AI nodes, which ask language models: prompts, agents, what agents remember."""
