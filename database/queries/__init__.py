"""Queries of the tables in `models`, a module for each subject. Each one imports only modules below it."""
