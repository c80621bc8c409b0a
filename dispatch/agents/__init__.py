"""What agents need of a server: their definitions, journal, memory, tasks and the tools that read a workspace."""
