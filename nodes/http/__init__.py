"""Nodes that send HTTP requests, and what they are made of: client, body, response, pagination, OAuth 2."""
