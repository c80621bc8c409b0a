"""Import of requests described by other tools, cURL commands and OpenAPI documents, as `http` nodes.

Pure: takes text or data, returns nodes and notes for the user; sends, reads and stores nothing. No imported secret gets
into a node, a note or an error: instead, a suggestion says which credential to create and where its value is.
"""
