"""A TypeScript program that calls each operation of the API with only the fields that the server requires."""

import json

HEAD = """import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({});
"""
METHODS = ("get", "put", "post", "delete", "patch")


def write_program(document):
    """Return the program for this OpenAPI document. It is only compiled: its values are of the right type, no more."""

    def least(schema):
        """Return the smallest value that fits the schema."""
        if "$ref" in schema:
            return least(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return least(schema["anyOf"][0])
        if "enum" in schema:
            return schema["enum"][0]
        types = schema.get("type")
        match types[0] if isinstance(types, list) else types:
            case "object":
                return {name: least(schema["properties"][name]) for name in schema.get("required", ())}
            case "array":
                return [least(schema["items"])] * schema.get("minItems", 0)
            case "integer" | "number":
                return max(schema.get("minimum", 1), 1)
            case "boolean":
                return True
            case "string":
                return "x" * max(schema.get("minLength", 1), 1)
            case _:
                return None

    def write_call(method, path, item):
        operation = item[method]
        options, parameters = {}, {}
        for parameter in [*item.get("parameters", ()), *operation.get("parameters", ())]:
            if parameter.get("required"):
                parameters.setdefault(parameter["in"], {})[parameter["name"]] = least(parameter["schema"])
        if parameters:
            options["params"] = parameters
        body = operation.get("requestBody", {})
        if body.get("required"):
            options["body"] = least(next(iter(body["content"].values()))["schema"])
        given = f", {json.dumps(options)}" if options else ""
        return f"await client.{method.upper()}({json.dumps(path)}{given});\n"

    items = document["paths"].items()
    calls = [write_call(method, path, item) for path, item in items for method in METHODS if method in item]
    return HEAD + "".join(calls)
