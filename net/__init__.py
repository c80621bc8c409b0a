"""Network access of nodes and agents: the egress rule, the HTTP transport of coroutines, and their deadlines."""
