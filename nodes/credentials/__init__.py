"""Types of credentials, and the keyring that opens them for one node and redacts their secrets."""
