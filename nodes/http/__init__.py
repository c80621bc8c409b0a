"""HTTP nodes, which send requests, and their parts: client, body, response, pagination, OAuth 2."""
