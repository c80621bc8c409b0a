"""The SQL node and its three databases: SQLite, PostgreSQL, MySQL."""
