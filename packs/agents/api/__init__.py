"""The API of agents: definitions, runs, memory."""
