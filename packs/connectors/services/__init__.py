"""Services whose operations need more than data: a module for each, named after the connector."""
