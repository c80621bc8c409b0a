"""The nodes of forms, and their pages."""
