"""What other tools describe as requests, made into `http` nodes: cURL command lines and OpenAPI documents.

Pure: text or data goes in, nodes and notes for people come out; nothing is sent, read from a disk or stored. No secret
of what is imported is in a node, a note or an error: a suggestion says which credential to make and where its value
stands.
"""
