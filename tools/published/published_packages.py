"""Descriptions that services publish as packages for JavaScript: what is wrong with a request by their types.

`npm.txt` lists the packages; nothing of them is installed or run.
"""

import json
import re
import tarfile
from fnmatch import fnmatchcase
from functools import cache
from urllib.parse import urlsplit

import pytest
from published_apis import FOLDER
from typescript_types import UNKNOWN, Type, Types


def file_of(package, path):
    """Return the text of the only file at a path of this pattern."""
    (text,) = files_of(package, path)
    return text


@cache
def files_of(package, path):
    """Return the texts of all files at paths of this pattern. Skips the test if the package was not downloaded."""
    found = sorted(FOLDER.glob(f"{package}-*.tgz"))
    if not found:
        pytest.skip(f"{package} is not in .venv/descriptions; `make .venv/descriptions.stamp` downloads it")
    with tarfile.open(found[-1]) as archive:
        names = [each for each in archive.getnames() if fnmatchcase(each, f"package/{path}")]
        return [archive.extractfile(name).read().decode() for name in names]


def path_pattern(path):
    """Return a pattern for paths with names in braces; the value of `{path}` may have slashes."""
    parts = re.split(r"(\{[^{}]*\})", path)
    patterns = ({"{path}": ".+"}.get(each, "[^/]+") if each.startswith("{") else re.escape(each) for each in parts)
    return re.compile("".join(patterns) + r"\Z")


def query_problems(types, query, told):
    """Return what is wrong with the parameters of a query, whose values are texts."""
    found = []
    for name, value in query.items():
        if name not in told:
            found.append(f"?{name} is not known")
            continue
        values = [value, [value]]
        if re.fullmatch(r"-?\d+|true|false", value):
            values.append(json.loads(value))
        found += min((types.problems(each, told[name][0], f"?{name}") for each in values), key=len)
    return found + [f"?{name} is missing" for name, (_, required) in told.items() if required and name not in query]


# GitHub: types that openapi-typescript made of GitHub's OpenAPI description


@cache
def github_operations():
    """Return the types, `(HTTP method, pattern of the path, id of the operation)`, and the text of each operation."""
    text = file_of("octokit-openapi-types", "types.d.ts")
    cut = text.index("\nexport interface operations {")
    heads = [*re.finditer(r'^  "([^"]+)": (?=\{$)', text[cut:], re.MULTILINE)]
    ends = [each.start() for each in heads[1:]] + [len(text) - cut]
    bodies = {each[1]: text[cut + each.end() : cut + end] for each, end in zip(heads, ends, strict=True)}
    calls = []
    for path, inner in re.findall(r'^  "(/[^"]*)": \{\n(.*?)^  \};', text[:cut], re.MULTILINE | re.DOTALL):
        for verb, id_ in re.findall(r'^    (\w+): operations\["([^"]+)"\];', inner, re.MULTILINE):
            calls.append((verb.upper(), path_pattern(path), id_))
    return Types(text[:cut]), calls, bodies


def github_operation(method, url):
    """Return the fields of the type of an operation; None if GitHub does not know it."""
    types, calls, bodies = github_operations()
    path = urlsplit(url).path
    found = [id_ for verb, pattern, id_ in calls if verb == method and pattern.match(path)]
    return types.parse(bodies[found[0]]).fields if found else None


def github_problems(method, url, query, body):
    """Return what is wrong with a request to GitHub."""
    types, operation = github_operations()[0], github_operation(method, url)
    if operation is None:
        return [f"{method} {url} is not known"]
    told = types.object_of(operation["parameters"][0])
    problems = query_problems(types, query, types.object_of(told["query"][0]) if "query" in told else {})
    if "requestBody" in operation:
        return problems + types.problems(body or {}, _json_of(types, operation["requestBody"][0]))
    return [*problems, "there must be no body"] if body else problems


def github_answer_problems(method, url, response):
    """Return what of a response GitHub does not send."""
    types = github_operations()[0]
    answers = types.object_of(github_operation(method, url)["responses"][0])
    first = min(status for status in answers if status.startswith("2"))
    return types.problems(response, _json_of(types, answers[first][0]), optional=True)


@cache
def github_webhooks():
    """Return the names of all events of webhooks, with `-` between words."""
    text = file_of("octokit-openapi-types", "types.d.ts")
    names = re.findall(r'^    "webhook-([\w-]+)": ', text, re.MULTILINE)
    return {"-".join(parts[:end]) for parts in (name.split("-") for name in names) for end in range(1, len(parts) + 1)}


def _json_of(types, content):
    media = types.object_of(types.object_of(content)["content"][0]) or {}
    return next((told for name, (told, _) in media.items() if "json" in name), UNKNOWN)


# Notion: the types and paths of its own client

NOTION_ENDPOINT = re.compile(r"""exports\.(\w+) = \{\s+method: "(\w+)",.*?path: \(\w*\) => [`"](.*?)[`"]""", re.DOTALL)


@cache
def notion_endpoints():
    """Return the types, and `(HTTP method, pattern of the path, name of the endpoint)` of all endpoints."""
    names = re.findall(r'"\./(api-endpoints/[\w-]+)"', file_of("notionhq-client", "build/src/api-endpoints.d.ts"))
    types = Types("\n".join(file_of("notionhq-client", f"build/src/{name}.d.ts") for name in names))
    found = []
    for name in names:
        code = file_of("notionhq-client", f"build/src/{name}.js")
        for endpoint, verb, path in NOTION_ENDPOINT.findall(code):
            pattern = path_pattern("/v1/" + path.replace("$", ""))
            found.append((verb.upper(), pattern, endpoint[0].upper() + endpoint[1:]))
    return types, found


def notion_endpoint(method, url):
    """Return the name of an endpoint; None if Notion does not know it."""
    path = urlsplit(url).path
    return next((name for verb, pattern, name in notion_endpoints()[1] if verb == method and pattern.match(path)), None)


def notion_problems(method, url, query, body):
    """Return what is wrong with a request to Notion."""
    types, name = notion_endpoints()[0], notion_endpoint(method, url)
    if name is None:
        return [f"{method} {url} is not known"]
    told = types.object_of(types.named(f"{name}QueryParameters")) if f"{name}QueryParameters" in types.places else {}
    problems = query_problems(types, query, told)
    if f"{name}BodyParameters" not in types.places:
        return [*problems, "there must be no body"] if body else problems
    return problems + types.problems(body or {}, types.named(f"{name}BodyParameters"))


def notion_answer_problems(method, url, response):
    """Return what of a response Notion does not send."""
    types = notion_endpoints()[0]
    return types.problems(response, types.named(f"{notion_endpoint(method, url)}Response"), optional=True)


# GraphQL: types of Linear's and monday.com's own clients


@cache
def linear_types():
    """Return the types of Linear's schema."""
    return Types(file_of("linear-sdk", "dist/index-*.d.mts"))


@cache
def monday_types():
    """Return the types of monday.com's schema."""
    return Types(file_of("mondaydotcomorg-api", "dist/esm/lib/generated/sdk.d.ts"))


# Jira and Trello: clients that their authors keep in step with Atlassian's OpenAPI descriptions

REQUEST = re.compile(
    r"\burl: [`'](?P<url>.*?)[`'],\s+method: '(?P<verb>\w+)',(?P<rest>.*?)^ +\}\)?;", re.DOTALL | re.MULTILINE
)
FIELD = re.compile(r"^\s+'?(\w+)'?: ", re.MULTILINE)
FIELDS = re.compile(r"\b(searchParams|body): \{(.*?)\}", re.DOTALL)


@cache
def atlassian_calls(package, files):
    """Return `(HTTP method, pattern of the path, query, body)` of all calls, the last two as names of fields.

    The body is None if it is not described.
    """
    found = []
    for code in files_of(package, files):
        for call in REQUEST.finditer(code):
            parts = {name: {*FIELD.findall(text)} for name, text in FIELDS.findall(call["rest"])}
            body = None if "body: p" in call["rest"] else parts.get("body", set())
            path = re.sub(r"\$\{.*?\}", "{x}", call["url"])
            found.append((call["verb"], path_pattern(path), parts.get("searchParams", set()), body))
    return found


def atlassian_problems(calls, method, path, query, body):
    """Return what is wrong with a request: an unknown path, or unknown names of parameters or fields."""
    found = [each for each in calls if each[0] == method and each[1].match(path)]
    if not found:
        return [f"{method} {path} is not known"]
    _, _, names, fields = min(found, key=lambda each: each[1].pattern.count("+"))
    known = {*names, *(fields or ())}  # Trello takes parameters of the query as fields of a body, too
    return sorted(({*query} - names) | (set() if fields is None else {*(body or {})} - known))


# Microsoft Graph: the types of its entities; a path goes from one to another by their fields

GRAPH_ROOTS = {"me": "User", "teams": "Team", "chats": "Chat"}
GRAPH_ACTIONS = {"sendMail", "reply", "move", "createLink", "copy", "add", "content", "search", "range"}
GRAPH_QUERY = {"$filter", "$search", "$select", "$top", "$skip", "$orderby", "$expand", "$count"}


@cache
def graph_types():
    """Return the types of Microsoft Graph's entities."""
    return Types(file_of("microsoft-microsoft-graph-types", "microsoft-graph.d.ts"))


def graph_problems(method, url, query, body):
    """Return what is wrong with a request to Microsoft Graph. The parameters of actions are not described."""
    types, path = graph_types(), re.sub(r"root:/.*?:/", "root/", urlsplit(url).path.removeprefix("/v1.0/"))
    root, *rest = path.split("/")
    place = Type("name", (GRAPH_ROOTS[root],))
    for segment in rest[root != "me" :]:
        items = _items_of(types, place)
        name = segment.partition("(")[0]
        if name in GRAPH_ACTIONS:
            message = (body or {}).get("message", {})
            return sorted({*query} - GRAPH_QUERY) + types.problems(message, Type("name", ("Message",)), optional=True)
        if "(" in segment or (items is None and name not in types.object_of(place)):
            return [f"{segment} of {path} is not known"]
        place = types.object_of(place)[name][0] if items is None else items
    known = GRAPH_QUERY | ({"startDateTime", "endDateTime"} if path.endswith("/calendarView") else set())
    sent = {name: value for name, value in (body or {}).items() if not name.startswith("@")}
    return sorted({*query} - known) + types.problems(sent, _items_of(types, place) or place, optional=True)


def _items_of(types, place):
    """Return the type of the items of a collection; None if it is not one."""
    place = types.resolve(place)
    parts = place.parts if isinstance(place, Type) and place.kind == "union" else (place,)
    return next((part.parts[0] for part in parts if isinstance(part, Type) and part.kind == "list"), None)


# NocoDB: its own client, which names each request above the function that sends it


@cache
def nocodb_calls():
    """Return `(HTTP method, pattern of the path, names of the parameters)` of all calls; bodies are open."""
    found = []
    text = file_of("nocodb-sdk", "build/main/lib/Api.d.ts")
    for verb, path, told in re.findall(r"@request (\w+):(\S+)\n.*?\*/\n(.*?)RequestParams", text, re.DOTALL):
        query = told.partition("query?: {")[2]
        found.append((verb, path_pattern(path), set(re.findall(r"^\s+(\w+)\??: ", query, re.MULTILINE))))
    return found
