"""Parsers of untrusted data, run in a separate process by `process.py`: those here, and those of packs.

The libraries for these formats are old and lenient; some inputs of a few hundred KB keep them busy for hours or exhaust
the memory, and a regular expression of Python blocks all threads of its process. Here, limits on time and memory stop
them at the cost of one result. Imports nothing of ours.
"""
