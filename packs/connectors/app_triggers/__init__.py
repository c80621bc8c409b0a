"""App triggers: webhooks of well-known services as node types of their own, made from files."""
