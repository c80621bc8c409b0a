"""Who somebody is, and what only some may know: accounts, passwords, the server's key, stored credentials."""
