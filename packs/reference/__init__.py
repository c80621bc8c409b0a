"""Reference: the documentation that the server shows at /docs."""
