"""Operations of connectors that need more than data: a module for each service, named after its type."""
