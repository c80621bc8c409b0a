"""AI nodes, which ask language models: prompts, agents, the memory of agents."""
