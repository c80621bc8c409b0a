"""Tables of a workspace: the node, the resource of the API, CSV files and the tools of agents."""
