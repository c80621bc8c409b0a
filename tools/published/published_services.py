"""The requests in more packages of services, or of others who use them: which paths, parameters and fields they have.

Nothing of the packages is installed or run. A reader returns `(HTTP method, pattern of the path, Call)` of all calls.
"""

import ast
import re
from functools import cache

import orjson
from published_apis import ANY, Call, pattern_of, wheel
from published_clients import calls, functions, keys_of, keyword, modules, text_of
from published_packages import file_of, files_of, path_pattern
from typescript_types import Types

VARIABLE = re.compile(r"\$\{[^}]*\}")

# Shopify: its own client

SHOPIFY = "dist/esm/rest/admin/2026-07"
SHOPIFY_PATH = re.compile(r'\{ "http_method": "(\w+)", "operation": "(\w+)", .*?"path": "([^"]+)" \}')
SHOPIFY_CALL = re.compile(r'(?:http_method: "(\w+)",\s+operation: "(\w+)",.*?)?params: \{(.*?)\}', re.DOTALL)


@cache
def shopify_methods():
    """Return the calls for all resources."""
    found = []
    for text in files_of("shopify-shopify-api", f"{SHOPIFY}/*.mjs"):
        names = {}
        for function in text.split("async ")[1:]:
            for verb, operation, params in SHOPIFY_CALL.findall(function):
                key = verb or "get", operation or "get"
                names.setdefault(key, set()).update(re.findall(r'"(\w+)": ', params))
        fields = dict.fromkeys(re.findall(r"^    (\w+);$", text, re.MULTILINE), ANY)
        kinds = dict.fromkeys(re.findall(r'"singular": "(\w+)"', text), fields)
        for verb, operation, path in SHOPIFY_PATH.findall(text):
            known = names.get((verb, operation), set())
            told = Call(known, {**kinds, **dict.fromkeys(known, ANY)})
            found.append((verb.upper(), pattern_of("/" + re.sub(r"<\w+>", "{x}", path)), told))
    return found


# Typeform: its own client

TYPEFORM_CALL = re.compile(r"method: '(\w+)',\s+url: ([\"']/.+?),\s*\n(.*?)\}\);", re.DOTALL)


@cache
def typeform_methods():
    """Return the calls for forms, responses and webhooks."""
    found = []
    for verb, place, rest in TYPEFORM_CALL.findall(file_of("typeform-api-client", "dist/index.cjs.js")):
        parts = re.findall(r"[\"']([^\"']*)[\"']|\b(\w+)(?=[,)])", place)
        path = "".join("{x}" if variable else text for text, variable in parts)
        told = {word: inner for word, inner in re.findall(r"(params|data): \{(.*?)\n +\}", rest, re.DOTALL)}
        names = {word: set(re.findall(r"^ +(\w+):", inner, re.MULTILINE)) for word, inner in told.items()}
        body = dict.fromkeys(names.get("data", ()), ANY)
        found.append((verb.upper(), pattern_of(path), Call(names.get("params", set()), body)))
    return found


# Jotform: its own client

JOTFORM_CALL = re.compile(r"this\.client\.(\w+)\([`'](/.+?)[`'](.*?)\);$", re.DOTALL | re.MULTILINE)
JOTFORM_VERBS = {"postForm": "POST"}


@cache
def jotform_methods():
    """Return all calls; those with pages take the parameters that the client names for them."""
    texts = files_of("jotform", "dist/*.js")
    paging = {name for text in texts for name in re.findall(r"@param pagination\.(\w+)", text)}
    found = []
    for verb, path, rest in (call for text in texts for call in JOTFORM_CALL.findall(text)):
        query = paging if "pagination" in rest else set()
        body = dict.fromkeys(re.findall(r"^ +(\w+):? ?", rest, re.MULTILINE), ANY)
        found.append((JOTFORM_VERBS.get(verb, verb.upper()), pattern_of(VARIABLE.sub("{x}", path)), Call(query, body)))
    return found


# WordPress: the routes that its API tells, as a client keeps them; the fields of bodies are left out there


@cache
def wordpress_methods():
    """Return the calls of WordPress's own routes."""
    found = []
    for route, told in orjson.loads(file_of("wpapi", "lib/data/default-routes.json")).items():
        path = pattern_of(re.sub(r"\(\?P<\w+>.*?\)", "{x}", route))
        for endpoint in told["endpoints"]:
            found += [(verb, path, Call(set(endpoint["args"]), ANY)) for verb in endpoint["methods"]]
    return found


# WooCommerce: the types of its objects


@cache
def woocommerce_types():
    """Return the types of orders, products and customers."""
    return Types(file_of("woocommerce-rest-ts-api", "dist/src/types/models/index.d.ts"))


# Supabase: its own clients


@cache
def storage_methods():
    """Return the calls for files and buckets; the fields of a list are those of its options."""
    (options,) = [
        node
        for tree in modules("storage3", "storage3/types.py")
        for node in tree.body
        if getattr(node, "name", "") == "ListBucketFilesOptions"
    ]
    fields = {line.target.id for line in options.body if isinstance(line, ast.AnnAssign)} | {"prefix"}
    found = []
    for function in functions("storage3", "storage3/_sync/*.py"):
        for call in calls(function, "_request"):
            if len(call.args) == 2 and isinstance(call.args[1], ast.List):
                parts = [each.value if isinstance(each, ast.Constant) else "{x}" for each in call.args[1].elts]
                path = "/" + "/".join(parts)
                verbs = [call.args[0].value] if isinstance(call.args[0], ast.Constant) else ["POST", "PUT"]
                body = dict.fromkeys(fields, ANY) if "/list/" in path else ANY
                found += [(verb, pattern_of(path), Call(set(), body)) for verb in verbs]
    return found


@cache
def postgrest_words():
    """Return the parameters and the operators of filters that PostgREST knows."""
    text = wheel("postgrest").read("postgrest/base_request_builder.py").decode()
    filters = wheel("postgrest").read("postgrest/types.py").decode().partition("class Filters")[2]
    names = set(re.findall(r'"(\w+)"', text))
    return names, {word.lower() for word in re.findall(r'^    \w+ = "(\w+)"', filters, re.MULTILINE)}


# Reddit: PRAW


@cache
def reddit_paths():
    """Return the patterns of all paths, and all texts in the source of PRAW: its parameters are among them."""
    text = wheel("praw").read("praw/endpoints.py").decode()
    words = set()
    for package in ("praw", "prawcore"):
        for name in wheel(package).namelist():
            if name.endswith(".py"):
                words |= set(re.findall(r'"(\w+)"|(?<=[(,\s])(\w+)=', wheel(package).read(name).decode()))
    paths = [pattern_of("/" + path.rstrip("/")) for path in re.findall(r'^    "\w+": +"(.+?)",$', text, re.MULTILINE)]
    return paths, {word for pair in words for word in pair}


# WhatsApp: pywa


@cache
def whatsapp_methods():
    """Return the calls of pywa, with the fields that the function of each has anywhere."""
    found, kinds = [], _constants("pywa", "pywa/types/others.py")["MessageType"]
    kinds |= set(re.findall(r'\btyp="(\w+)"', wheel("pywa").read("pywa/client.py").decode()))
    text = wheel("pywa").read("pywa/types/others.py").decode().partition("class Pagination")[2].partition("\nclass ")[0]
    paging = set(re.findall(r"^    (\w+): ", text, re.MULTILINE))
    for function in functions("pywa", "pywa/api.py"):
        names = kinds if function.name == "send_message" else set()
        names = names | (paging if "pagination" in {arg.arg for arg in function.args.args} else set())
        names |= {key for node in ast.walk(function) for key in keys_of(node)}
        names |= {part.arg for call in calls(function, "_filter_none") for part in call.keywords if part.arg}
        for call in calls(function, "_request"):
            method, endpoint = keyword(call, "method"), keyword(call, "endpoint")
            if isinstance(method, ast.Constant):
                path = "/" + text_of(endpoint).strip("/")
                found.append((method.value, pattern_of(path), Call(names, dict.fromkeys(names, ANY))))
    return found


def _constants(package, pattern):
    """Return the texts that the classes of these modules assign, by the names of the classes."""
    classes = [node for tree in modules(package, pattern) for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: {text_of(line.value) for line in node.body if isinstance(line, ast.Assign)} for node in classes}


# Zendesk: a client that Speakeasy generated

ZENDESK_DEPTH = 3


@cache
def zendesk_methods():
    """Return the calls for tickets, their comments, users and the search."""
    found = []
    for name in ("tickets", "ticket_comments", "users_sdk", "search"):
        for function in functions("python_zendesk", f"zendesk/{name}.py"):
            for call in calls(function, "_build_request"):
                bodies = [ast.unparse(each.args[4]) for each in calls(function, "serialize_request_body")]
                body = [name for text in bodies for name in re.findall(r"models\.(\w+)", text)]
                query = re.findall(r"models\.(\w+Request)\(", ast.unparse(function))
                told = Call(set(_zendesk_fields(query[0], "op")) if query else set(), _zendesk_shape(body))
                found.append((keyword(call, "method").value, pattern_of(keyword(call, "path").value), told))
    return found


def _zendesk_fields(model, suffix=""):
    """Return the annotations of a class by the names of its fields outside. Each class has a file of its name."""
    name = f"zendesk/models/{model.removesuffix('Request').lower() + suffix if suffix else model.lower()}.py"
    if name not in wheel("python_zendesk").namelist():
        return {}
    for node in ast.parse(wheel("python_zendesk").read(name)).body:
        if isinstance(node, ast.ClassDef) and node.name == model:
            lines = [(line.target.id, ast.unparse(line.annotation)) for line in node.body if hasattr(line, "target")]
            return {(re.findall(r"alias='([^']+)'", text) or [field])[0]: text for field, text in lines}
    return {}


def _zendesk_shape(models, depth=0):
    """Return the fields of the classes, with those below; any if none of them is known."""
    found = {}
    for model in models if depth < ZENDESK_DEPTH else ():
        for name, text in _zendesk_fields(model).items():
            found[name] = _zendesk_shape(re.findall(r"[A-Z]\w+", text), depth + 1)
    return found or ANY


# Salesforce: simple-salesforce


@cache
def salesforce_methods():
    """Return the calls for records and the query, without the host and the version."""
    found = [("GET", pattern_of("/query"), Call({"q"}, {}))] if _has_query() else []
    objects = [
        node
        for tree in modules("simple_salesforce", "simple_salesforce/api.py")
        for node in tree.body
        if getattr(node, "name", "") == "SFType"
    ]
    for call in calls(objects[0], "_call_salesforce"):
        method, url = keyword(call, "method"), keyword(call, "url")
        if isinstance(method, ast.Constant):
            last = url.args[1] if isinstance(url, ast.Call) else ast.Constant("")
            rest = "/{path}" if not isinstance(last, ast.Constant) else "/" + last.value  # an id, or field/value
            found.append((method.value, path_pattern("/sobjects/{x}" + rest.rstrip("/")), Call(set(), ANY)))
    return found


def _has_query():
    text = wheel("simple_salesforce").read("simple_salesforce/api.py").decode()
    return "'queryAll/' if include_deleted else 'query/'" in text and "'q': query" in text


# Baserow: the connector of Activepieces


@cache
def baserow_methods():
    """Return the calls for rows and fields; the code has no line breaks."""
    found = []
    for function in file_of("activepieces-piece-baserow", "src/index.js").split("}async "):
        for verb, path, rest in re.findall(r'makeRequest\("(\w+)",`(/database/(?:rows|fields)/[^`]+)`(.*)', function):
            names = set(re.findall(r"[{,](\w+):", function.partition("makeRequest")[0] + rest))
            names |= {"filters"} if ".filters=" in function else set()
            found.append((verb, pattern_of(VARIABLE.sub("{x}", path)), Call(names, ANY)))
    return found


# SendGrid: its own client, which has mails only


@cache
def sendgrid_fields():
    """Return the fields of a mail, with those of its parts."""
    mail, part = (
        set(re.findall(r"'(\w+)'", wheel("sendgrid").read(f"sendgrid/helpers/mail/{name}.py").decode()))
        for name in ("mail", "personalization")
    )
    content, email = (
        set(re.findall(r'\["(\w+)"\]', wheel("sendgrid").read(f"sendgrid/helpers/mail/{name}.py").decode()))
        for name in ("content", "email")
    )
    address = dict.fromkeys(email, ANY)
    parts = {**dict.fromkeys(part, ANY), "to": address, "cc": address, "bcc": address}
    inner = {"personalizations": parts, "content": dict.fromkeys(content, ANY), "from": address, "reply_to": address}
    return {name: inner.get(name, ANY) for name in mail}


# Gemini: Google's own client


@cache
def gemini_words():
    """Return the ends of all paths, and the names of all fields, of types or of the code that makes requests."""
    code = "".join(wheel("google_genai").read(f"google/genai/{name}.py").decode() for name in ("models", "files"))
    fields = re.findall(r"^  (\w+): ", wheel("google_genai").read("google/genai/types.py").decode(), re.MULTILINE)
    words = {re.sub(r"_(\w)", lambda found: found[1].upper(), field) for field in fields}
    words |= {word for told in re.findall(r"setv\([^\[]*\[([^\]]*)\]", code) for word in re.findall(r"'(\w+)'", told)}
    return set(re.findall(r"path = '([^']+)'", code)), words
