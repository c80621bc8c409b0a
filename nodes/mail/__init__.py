"""Nodes that send mail and notices, the mailbox trigger, and the server's own mail."""
