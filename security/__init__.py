"""Security: accounts, passwords, invitations, the server's key and its rotation, stored credentials."""
