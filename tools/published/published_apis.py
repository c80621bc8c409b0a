"""Published descriptions of services, read from packages that the services themselves publish.

The packages are not installed: `make check` downloads them as wheels into `.venv/descriptions`, and only files in them
are read. Each description answers one question: which method, parameters and body fields does the service know?
"""

import ast
import json
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

FOLDER = Path(__file__).parents[2] / ".venv" / "descriptions"
ANY = {"*": None}  # a shape whose fields are not described


class Call(NamedTuple):
    """A request that a service knows: `query` are the names of its parameters, `body` its fields, with those below."""

    query: set
    body: dict


@cache
def wheel(name):
    """Return the wheel of this package as a zip file. Skips the test if it was not downloaded."""
    found = sorted(FOLDER.glob(f"{name}-*.whl"))
    if not found:
        pytest.skip(f"{name} is not in .venv/descriptions; `make .venv/descriptions.stamp` downloads it")
    return zipfile.ZipFile(found[-1])


def pattern_of(path):
    """Return a pattern for paths with names in braces."""
    parts = re.split(r"\{[^{}]*\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)) + r"\Z")


# Google's discovery documents

DOCUMENTS = {
    "sheets.v4", "drive.v3", "docs.v1", "gmail.v1", "calendar.v3", "youtube.v3", "analyticsdata.v1beta",
    "analyticsadmin.v1beta", "bigquery.v2", "tasks.v1", "people.v1",
}  # fmt: skip
SHOWN_DEPTH = 6


@cache
def google_methods():
    """Return `(HTTP method, pattern of the URL, Call)` of all methods of the documents."""
    found = []
    for name in sorted(DOCUMENTS):
        with wheel("google_api_python_client").open(f"googleapiclient/discovery_cache/documents/{name}.json") as file:
            document = json.load(file)
        found += _methods_in(document, document)
    return found


def _methods_in(part, document):
    for method in part.get("methods", {}).values():
        query = set(method.get("parameters", {})) | set(document["parameters"])
        body = _google_shape(document, method.get("request", {}).get("$ref"), 0)
        url = document["rootUrl"] + document["servicePath"]
        for path in {method["path"], method.get("flatPath", method["path"])}:
            yield method["httpMethod"], pattern_of(url + path.replace("{+", "{")), Call(query, body)
        upload = method.get("mediaUpload", {}).get("protocols", {}).get("simple", {}).get("path")
        if upload:
            yield (
                method["httpMethod"],
                pattern_of(document["rootUrl"].rstrip("/") + upload),
                Call(query | {"uploadType"}, ANY),
            )
    for resource in part.get("resources", {}).values():
        yield from _methods_in(resource, document)


def _google_shape(document, name, depth):
    """Return the fields of a schema, with those below."""
    if name is None:
        return {}
    if depth > SHOWN_DEPTH:
        return ANY
    return _google_fields(document, document["schemas"][name], depth)


def _google_fields(document, told, depth):
    if "$ref" in told:
        return _google_shape(document, told["$ref"], depth + 1)
    if told.get("type") == "array":
        return _google_fields(document, told["items"], depth)
    if told.get("type") == "object" and "properties" in told:
        return {key: _google_fields(document, inner, depth) for key, inner in told["properties"].items()}
    return ANY if told.get("type") in ("object", "any") else {}


# Python clients: the calls in their source


@cache
def slack_methods():
    """Return the names of the arguments of each method of Slack's API."""
    with wheel("slack_sdk").open("slack_sdk/web/client.py") as file:
        tree = ast.parse(file.read())
    found = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "api_call" and call.args:
                    name = getattr(call.args[0], "value", None)
                    found.setdefault(name, set()).update(arg.arg for arg in function.args.kwonlyargs)
    return found


@cache
def stripe_methods():
    """Return `(HTTP method, pattern of the path, Call)` of all methods of Stripe's API."""
    package = wheel("stripe")
    found = []
    for name in package.namelist():
        if place := re.fullmatch(r"stripe/(\w+/)?_\w+_service\.py", name):
            for function in ast.walk(ast.parse(package.read(name))):
                if isinstance(function, ast.FunctionDef):
                    found += _stripe_calls(function, place[1] or "")
    return found


def _stripe_calls(function, folder):
    params = next((arg for arg in function.args.args if arg.arg == "params"), None)
    classes = (
        re.findall(r"\w+Params", ast.unparse(params.annotation)) if params is not None and params.annotation else []
    )
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "_request" and len(call.args) >= 2:
            path = call.args[1]
            text = path.func.value.value if isinstance(path, ast.Call) else path.value
            yield call.args[0].value.upper(), pattern_of(text), (folder, classes[0]) if classes else None


@cache
def stripe_shape(folder, name):
    """Return the fields of a class of parameters, with those below."""
    return {key: _stripe_field(folder, text) for key, text in stripe_classes().get((folder, name), {}).items()}


def _stripe_field(folder, text):
    inner = [(folder, name) for name in re.findall(r"\w+Params\w+", text) if (folder, name) in stripe_classes()]
    if inner:
        return {key: value for name in inner for key, value in stripe_shape(*name).items()}
    return ANY if "Dict[" in text or "Any" in text else {}


@cache
def stripe_classes():
    """Return the annotations of the fields of all classes of parameters."""
    package = wheel("stripe")
    found = {}
    for name in package.namelist():
        if place := re.fullmatch(r"stripe/params/(\w+/)?_\w+_params\.py", name):
            for node in ast.parse(package.read(name)).body:
                if isinstance(node, ast.ClassDef):
                    fields = [line for line in node.body if isinstance(line, ast.AnnAssign)]
                    found[place[1] or "", node.name] = {line.target.id: ast.unparse(line.annotation) for line in fields}
    return found


@cache
def openai_methods():
    """Return `(HTTP method, pattern of the path, names of fields)` of the methods of OpenAI's client."""
    package = wheel("openai")
    found = []
    for name in package.namelist():
        if name.startswith("openai/resources/") and name.endswith(".py"):
            for function in ast.walk(ast.parse(package.read(name))):
                if isinstance(function, ast.FunctionDef):
                    found += _openai_calls(function)
    return found


def _openai_calls(function):
    names = {arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)} - {"self"}
    for call in ast.walk(function):
        verb = getattr(getattr(call, "func", None), "attr", "")
        if isinstance(call, ast.Call) and verb in ("_post", "_get", "_delete", "_get_api_list") and call.args:
            text = _text_of(call.args[0])
            if text:
                yield {"_get_api_list": "GET"}.get(verb, verb.strip("_").upper()), pattern_of(text), names


def _text_of(node):
    """Return a path from a text, an f-string or a call of `path_template`, with `{}` for its variables."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.Call) and node.args:
        return _text_of(node.args[0])
    return ""


def find(methods, method, url):
    """Return what the methods say of a request; None if they do not know it."""
    found = [(len(pattern.pattern), told) for verb, pattern, told in methods if verb == method and pattern.match(url)]
    return max(found, key=lambda pair: pair[0])[1] if found else None  # people:search, not people/{id}


def unknown_fields(sent, shape, place=""):
    """Yield the places of fields of a body that the shape does not have."""
    if isinstance(sent, list):
        for item in sent:
            yield from unknown_fields(item, shape, place)
    elif isinstance(sent, dict) and "*" not in shape:
        for key, value in sent.items():
            if key not in shape:
                yield f"{place}.{key}".lstrip(".")
            else:
                yield from unknown_fields(value, shape[key], f"{place}.{key}")


# GitLab: the managers of python-gitlab, which list the fields of its documentation

PAGING = {"page", "per_page", "pagination"}


@cache
def gitlab_calls():
    """Return `(HTTP method, pattern of the path, names of fields or parameters)` of all managers' calls."""
    package = wheel("python_gitlab")
    found = []
    for name in package.namelist():
        if name.startswith("gitlab/v4/objects/"):
            classes = [node for node in ast.parse(package.read(name)).body if isinstance(node, ast.ClassDef)]
            for node in classes:
                found += _gitlab_calls({line.targets[0].id: line.value for line in node.body if _is_set(line)})
    return found


def _is_set(line):
    return isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)


def _gitlab_calls(told):
    path = _literal(told.get("_path"), "")
    yield "GET", pattern_of(path), PAGING.union(_literal(told.get("_list_filters"), ()))
    yield "GET", pattern_of(path + "/{id}"), {"ref"}
    for verb, name in (("POST", "_create_attrs"), ("PUT", "_update_attrs")):
        parts = [_literal(each.value, ()) for each in getattr(told.get(name), "keywords", ())]
        for place in (path, path + "/{id}", path.removesuffix("s")):  # a file has a path, and /pipeline makes one
            yield verb, pattern_of(place), set().union(*parts)


def _literal(node, default):
    try:
        return default if node is None else ast.literal_eval(node)
    except ValueError:  # it is made of other constants
        return default


# Asana: the paths and parameters of its own client, which leaves bodies open


@cache
def asana_calls():
    """Return `(HTTP method, pattern of the path, names of the parameters)` of all calls."""
    package = wheel("asana")
    found = []
    for name in package.namelist():
        if name.startswith("asana/api/"):
            for function in ast.walk(ast.parse(package.read(name))):
                if isinstance(function, ast.FunctionDef):
                    found += _asana_calls(function)
    return found


def _asana_calls(function):
    names = set(re.findall(r":param [\w\[\]]+ (\w+):", ast.get_docstring(function) or ""))
    for call in ast.walk(function):
        path = call.args[0] if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "call_api" else None
        if isinstance(path, ast.Constant):
            yield call.args[1].value, pattern_of(path.value), names
