"""The server side of agents: definitions, journal, memory, tasks, callable workflows and the view of a workspace."""
