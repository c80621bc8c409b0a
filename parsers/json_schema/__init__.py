"""JSON Schemas: checking schemas and validating data, in this process if the cost is known, else in a separate one."""
