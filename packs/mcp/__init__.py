"""Model Context Protocol: a client, which is a node and a tool of agents, and a server at /mcp."""
