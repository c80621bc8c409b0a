"""The tables of the database, a file for each subject. Import them from `models`."""
