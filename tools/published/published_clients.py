"""The calls in Python clients that services publish, or that are generated from their descriptions.

Their packages are not installed, only read: see published_apis. A reader returns `(HTTP method, pattern of the path,
Call)` of all calls that it finds in the source of a client.
"""

import ast
import json
import re
from fnmatch import fnmatchcase
from functools import cache

from published_apis import ANY, Call, pattern_of, wheel

VERBS = {"get", "post", "put", "patch", "delete"}
MAX_DEPTH = 6


def modules(package, pattern):
    """Yield the trees of the modules of a package whose names match the pattern."""
    archive = wheel(package)
    for name in archive.namelist():
        if fnmatchcase(name, pattern):
            yield ast.parse(archive.read(name))


def functions(package, pattern):
    """Yield all functions of these modules."""
    for tree in modules(package, pattern):
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def calls(node, *names):
    """Yield the calls of functions or methods with these names below a node."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and getattr(each.func, "attr", getattr(each.func, "id", "")) in names:
            yield each


def text_of(node):
    """Return a text, an f-string or a sum of texts, with `{}` for its variables; an empty one for other nodes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "replace"):
        return text_of(node.func.value)
    return ""


def keys_of(node):
    """Return the keys of all dicts below a node that are not inside of another dict."""
    if isinstance(node, ast.Dict):
        return {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return {key for child in ast.iter_child_nodes(node) for key in keys_of(child)}


def shape_of(node):
    """Return the fields of a body: those of a dict, or any."""
    return dict.fromkeys(keys_of(node), ANY) or ANY


def keyword(call, name):
    """Return the value of a keyword of a call; None if it is not given."""
    return next((each.value for each in call.keywords if each.arg == name), None)


@cache
def classes_of(package, pattern):
    """Return the annotations of the fields of all classes of these modules, and the text of names for types."""
    found = {}
    for tree in modules(package, pattern):
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                fields = [line for line in node.body if isinstance(line, ast.AnnAssign)]
                found[node.name] = {line.target.id: ast.unparse(line.annotation) for line in fields}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, ast.unparse(node.value))
    return found


def annotated_shape(package, pattern, text, depth=0):
    """Return the fields, with those below, of the classes that an annotation names; any if it names none."""
    known = classes_of(package, pattern)
    found = {}
    for name in re.findall(r"\w+", text) if depth <= MAX_DEPTH else ():
        if isinstance(known.get(name), str):
            found |= annotated_shape(package, pattern, known[name], depth + 1)
        elif name in known:
            found |= {key: annotated_shape(package, pattern, each, depth + 1) for key, each in known[name].items()}
    return found or ANY


# Clients of Fern: ElevenLabs, Intercom


@cache
def fern_methods(package):
    """Return the calls of a client that Fern generated."""
    return [told for function in functions(package, "*/raw_client.py") for told in _fern_calls(package, function)]


def _fern_calls(package, function):
    for call in calls(function, "request", "stream"):
        method = keyword(call, "method")
        if not call.args or method is None:
            continue
        query = keys_of(keyword(call, "params")) if keyword(call, "params") is not None else set()
        parts = [part for name in ("json", "data", "files") if (part := keyword(call, name)) is not None]
        body = {key: told for part in parts for key, told in _fern_shape(package, part).items()}
        yield method.value, pattern_of("/" + text_of(call.args[0])), Call(query, body)


def _fern_shape(package, part):
    """Return the fields of a dict, whose values have classes perhaps, or of the class of all."""
    if isinstance(part, ast.Dict):
        found = {}
        for key, value in zip(part.keys, part.values, strict=True):
            found |= {key.value: _fern_shape(package, value)} if isinstance(key, ast.Constant) else shape_of(value)
        return found
    annotation = keyword(part, "annotation") if isinstance(part, ast.Call) else None
    return ANY if annotation is None else annotated_shape(package, "*/types/*.py", ast.unparse(annotation))


# Clients of Stainless: Perplexity


@cache
def stainless_methods(package):
    """Return the calls of a client that Stainless generated; the arguments of a method are its parameters or fields."""
    return [told for function in functions(package, "*/generated/api.py") for told in _stainless_calls(function)]


def _stainless_calls(function):
    names = {arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)}
    for call in calls(function, *("_" + verb for verb in VERBS)):
        if call.args and text_of(call.args[0]):
            yield call.func.attr[1:].upper(), pattern_of(text_of(call.args[0])), Call(names, dict.fromkeys(names, ANY))


# Clients of Swagger Codegen: HubSpot, Mailchimp


@cache
def swagger_methods(package, pattern):
    """Return the calls of a client that Swagger Codegen, or OpenAPI Generator in its early style, generated."""
    return [told for function in functions(package, pattern) for told in _swagger_calls(package, pattern, function)]


def _swagger_calls(package, pattern, function):
    for call in calls(function, "call_api"):
        added = [
            each.args[0] for each in calls(function, "append") if getattr(each.func.value, "id", "") == "query_params"
        ]
        query = {each.elts[0].value for each in added}
        model = _model_of_body(function)
        shape = {} if model is None else swagger_shape(package, pattern.replace("/api/", "/models/"), model)
        yield call.args[1].value, pattern_of(call.args[0].value.rstrip("/")), Call(query, shape)


def _model_of_body(function):
    """Return the name of the class of the body as the docstring tells it; None if there is no body."""
    types = re.findall(r":param (\w+) (\w+):", ast.get_docstring(function) or "")
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "body_params":
            place = getattr(node.value, "slice", None)  # of the function's arguments; None before they are read
            if place is not None:
                return {name: type_ for type_, name in types}.get(place.value, "")
    return None


@cache
def swagger_models(package, pattern):
    """Return the types of the fields of all models, by their names in JSON."""
    found = {}
    for tree in modules(package, pattern):
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                values = {line.targets[0].id: line.value for line in node.body if isinstance(line, ast.Assign)}
                if {"openapi_types", "attribute_map"} <= set(values):
                    types, names = (ast.literal_eval(values[key]) for key in ("openapi_types", "attribute_map"))
                    found[node.name] = {names[key]: type_ for key, type_ in types.items()}
    return found


def swagger_shape(package, pattern, model, depth=0):
    """Return the fields of a model, with those below."""
    fields = swagger_models(package, pattern).get(model)
    if fields is None or depth > MAX_DEPTH:
        return ANY
    return {
        name: swagger_shape(package, pattern, re.sub(r"^list\[(\w+)\]$", r"\1", type_), depth + 1)
        for name, type_ in fields.items()
    }


# Twilio


@cache
def twilio_methods(pattern):
    """Return the calls of these modules of Twilio's client."""
    return [told for tree in modules("twilio", pattern) for node in tree.body for told in _twilio_calls(node)]


def _twilio_calls(resource):
    if not isinstance(resource, ast.ClassDef):
        return
    paths = {text_of(line.value) for line in ast.walk(resource) if isinstance(line, ast.Assign) and _is_uri(line)}
    for function in (node for node in resource.body if isinstance(node, ast.FunctionDef)):
        sent = {key for call in calls(function, "of") for key in keys_of(call) if key[0].isupper()} - HEADERS
        for call in ast.walk(function):
            method = keyword(call, "method") if isinstance(call, ast.Call) else None
            for path in paths if isinstance(method, ast.Constant) else ():
                query, body = (sent, {}) if method.value == "GET" else (set(), dict.fromkeys(sent, ANY))
                yield method.value, pattern_of(path), Call(query, body)


HEADERS = {"Content-Type", "Accept"}


def _is_uri(line):
    return getattr(line.targets[0], "attr", "") == "_uri"


# Tools of Arcade, generated from OpenAPI descriptions: Airtable, Calendly, ClickUp


@cache
def arcade_methods(package, host):
    """Return the calls of the tools in a package of Arcade to this host."""
    (tree,) = modules(package, "*/tools/request_body_schemas.py")
    bodies = next(line.value for line in tree.body if isinstance(line, ast.AnnAssign))
    shapes = {key.value: _arcade_shape(text.value) for key, text in zip(bodies.keys, bodies.values, strict=True)}
    tools = [node for tree in modules(package, "*/tools/__init__.py") for node in tree.body]
    return [
        told for node in tools if isinstance(node, ast.AsyncFunctionDef) for told in _arcade_calls(node, host, shapes)
    ]


@cache
def airtable_methods():
    """Return the calls of Arcade's tools, and pyairtable's call for a list by POST, with its parameters as fields."""
    (place,) = re.findall(
        r'records_post = records / "(\w+)"', wheel("pyairtable").read("pyairtable/api/table.py").decode()
    )
    options = wheel("pyairtable").read("pyairtable/api/params.py").decode()
    fields = dict.fromkeys(re.findall(r'^    "\w+": "(\w+)",$', options, re.MULTILINE), ANY)
    listing = "POST", pattern_of("/{base}/{table}/" + place), Call(set(), fields)
    return [*arcade_methods("arcade_airtable_api", "https://api.airtable.com/v0"), listing]


ARCADE_TEXT = re.compile(r'"description": ".*?"(?=, "[$\w-]+": |\})', re.DOTALL)


def _arcade_shape(text):
    """Return the fields of a schema without descriptions, whose quotes are not escaped; Any if it is not JSON."""
    try:
        return json_shape(json.loads(ARCADE_TEXT.sub('"description": ""', text), strict=False))
    except json.JSONDecodeError:
        return ANY


def _arcade_calls(function, host, shapes):
    for call in calls(function, "make_request", "make_request_with_schema_validation"):
        data, schema = _assigned(function).get("request_data"), keyword(call, "schema")
        body = ANY if data is None else dict.fromkeys(keys_of(data), ANY)
        if schema is not None:
            body = shapes[schema.slice.value]
        method = keyword(call, "method")
        if isinstance(method, ast.Constant):
            path = text_of(keyword(call, "url")).removeprefix(host)
            yield method.value, pattern_of(path), Call(keys_of(keyword(call, "params")), body)


def json_shape(schema, depth=0):
    """Return the fields of a JSON Schema, with those below; any if it names none."""
    if depth > MAX_DEPTH:
        return ANY
    schema = schema.get("items", schema)
    parts = [part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word, ())]
    found = {name: json_shape(inner, depth + 1) for name, inner in schema.get("properties", {}).items()}
    for part in parts:
        found |= json_shape(part, depth + 1)
    return found or ANY


# mattermostautodriver: Mattermost


@cache
def mattermost_methods():
    """Return the calls of a client that is generated from Mattermost's description."""
    return [
        told
        for function in functions("mattermostautodriver", "*/endpoints/*.py")
        for told in _mattermost_calls(function)
    ]


def _mattermost_calls(function):
    values = _assigned(function)
    for call in calls(function, *VERBS):
        query, body = keyword(call, "params"), keyword(call, "options")
        named = values.get(getattr(query, "id", ""), ast.Dict([], []))
        shape = {} if body is None else shape_of(values.get(body.id, body))
        yield call.func.attr.upper(), pattern_of(text_of(call.args[0])), Call(keys_of(named), shape)


def _assigned(function):
    lines = [line for line in function.body if isinstance(line, ast.Assign)]
    return {line.targets[0].id: line.value for line in lines if isinstance(line.targets[0], ast.Name)}


# xdk: X


@cache
def x_methods():
    """Return the calls of X's own client for posts and users."""
    folders = ("posts", "users")
    return [
        told
        for each in folders
        for function in functions("xdk", f"xdk/{each}/client.py")
        for told in _x_calls(each, function)
    ]


def _x_calls(folder, function):
    lines = [line for line in ast.walk(function) if isinstance(line, ast.Assign)]
    path = max((text_of(line.value) for line in lines if _is_url(line)), key=len, default="")
    bodies = [ast.unparse(arg.annotation) for arg in function.args.args if arg.arg == "body"]
    model = classes_of("xdk", f"xdk/{folder}/models.py").get(bodies[0]) if bodies else None
    shape = annotated_shape("xdk", "xdk/schemas.py", model) if isinstance(model, str) else {}
    query = {key for line in lines for key in _parameter(line)}
    for call in calls(function, *VERBS):
        if path and getattr(call.func.value, "attr", "") == "session":
            yield call.func.attr.upper(), pattern_of(path), Call(query, shape)


def _parameter(line):
    """Yield the name of a parameter that is set, as in `params["query"] = query`, or of the one for pages."""
    target = line.targets[0]
    if getattr(target, "id", "") == "pagination_param_name":
        yield line.value.value
    is_query = isinstance(target, ast.Subscript) and getattr(target.value, "id", "") in ("params", "page_params")
    if is_query and isinstance(target.slice, ast.Constant):
        yield target.slice.value


def _is_url(line):
    return getattr(line.targets[0], "id", "") == "url"


# aiogram: Telegram


@cache
def telegram_methods():
    """Return the fields of each method of Telegram's Bot API, with those below."""
    found = {}
    for tree in modules("aiogram", "aiogram/methods/*.py"):
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                names = [line.value.value for line in node.body if isinstance(line, ast.Assign) and _is_method(line)]
                fields = [line for line in node.body if isinstance(line, ast.AnnAssign)]
                for name in names:
                    found[name] = {
                        line.target.id: annotated_shape("aiogram", "aiogram/types/*.py", ast.unparse(line.annotation))
                        for line in fields
                    }
    return found


def _is_method(line):
    return getattr(line.targets[0], "id", "") == "__api_method__"


# facebook_business: Meta's Graph API


@cache
def graph_methods(*nodes):
    """Return the edges of these kinds of nodes of the Graph API."""
    return [
        told
        for node in nodes
        for function in functions("facebook_business", f"facebook_business/adobjects/{node}.py")
        for told in _graph_calls(function)
    ]


PAGED = {"fields", "limit", "after"}


def _graph_calls(function):
    for call in calls(function, "FacebookRequest"):
        told = keys_of(_assigned(function).get("param_types", ast.Dict([], [])))
        method, edge = keyword(call, "method").value, keyword(call, "endpoint").value
        reads = method == "GET"
        yield (
            method,
            pattern_of("/{id}" + edge),
            Call(told | PAGED if reads else set(), {} if reads else dict.fromkeys(told, ANY)),
        )


# python-quickbooks: QuickBooks


@cache
def quickbooks_classes():
    """Return the fields of all objects of QuickBooks, with the name of the class of each, if it has one."""
    found = {}
    for tree in modules("python_quickbooks", "quickbooks/objects/*.py"):
        for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            names = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and _is_own(each)}
            inner = [line.value for line in node.body if isinstance(line, ast.Assign) and _is_inner(line)]
            pairs = [pair for told in inner for pair in zip(told.keys, told.values, strict=True)]
            known = {key.value: getattr(value, "id", None) for key, value in pairs if isinstance(key, ast.Constant)}
            found[node.name] = dict.fromkeys(names) | known
            for base in (each.id for each in node.bases if getattr(each, "id", "") == "DetailLine"):
                found[base] |= found[node.name]  # a line has the fields of one of its kinds
    return found


def _is_own(node):
    return getattr(node.value, "id", "") == "self" and isinstance(node.ctx, ast.Store)


def _is_inner(line):
    return getattr(line.targets[0], "id", "") in ("class_dict", "list_dict") and isinstance(line.value, ast.Dict)


def quickbooks_shape(name):
    """Return the fields of an object of QuickBooks, with those below."""
    fields = quickbooks_classes().get(name, {})
    return {field: quickbooks_shape(inner) if inner else ANY for field, inner in fields.items()} or ANY
