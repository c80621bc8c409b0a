"""Nodes that send mail and notices, the trigger on a mailbox, and the server's own mail."""
