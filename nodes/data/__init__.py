"""Nodes that make data of data: lists, dates, formats, JMESPath, Python in a sandbox."""
