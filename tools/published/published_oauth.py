"""Facts about the OAuth servers of services from packages of others, for a comparison with `oauth_providers.json`.

A source returns facts of providers by our ids: `authorization_url`, `token_url` and `revocation_url`, the `separator`
of scopes, and where the client's secret goes (`auth`). A fact is missing if the package does not state it.
"""

import ast
import re
from functools import cache

import orjson
import yaml
from published_apis import DOCUMENTS, wheel
from published_packages import file_of

SEPARATORS = {" ": "space", ",": "comma"}
DEFAULT = re.compile(r".*\|\| ")  # Nango's addresses with a variable name the usual one behind it
VERSION = re.compile(r"(?<=/)v\d+\.\d+/|v\{version\}/")
HOST = re.compile(r"(?<=^https://)[^/]+")


def normal(url):
    """Return an address as we compare it: its host in lower case, without the version of Meta's API."""
    return HOST.sub(lambda host: host[0].lower(), VERSION.sub("", url))


def facts(**told):
    """Return the facts that are told, with comparable addresses."""
    return {name: normal(value) if name.endswith("_url") else value for name, value in told.items() if value}


# grant: a list of providers for Node.js


@cache
def grant():
    """Return the facts of grant's list of OAuth 2 providers."""
    listed = orjson.loads(file_of("grant", "config/oauth.json"))
    return {
        name: facts(
            authorization_url=told["authorize_url"],
            token_url=told["access_url"],
            separator=SEPARATORS.get(told.get("scope_delimiter")),
        )
        for name, told in listed.items()
        if told.get("oauth") == 2 and "authorize_url" in told
    }


# Nango: a list of providers, with their scopes

NANGO_IDS = {"x": "twitter-v2", "slack_user": "slack"}


@cache
def nango_entries(file):
    """Return the texts of the entries of one of Nango's files: parsing all of them takes seconds."""
    text = file_of("nangohq-providers", file)
    return dict(re.findall(r"^([\w-]+):(?=\n)((?:\n(?:[ #-].*)?)+)", text, re.MULTILINE))


@cache
def nango_entry(id_, file="providers.yaml"):
    """Return Nango's entry for one of our providers; None if it has none."""
    text = nango_entries(file).get(NANGO_IDS.get(id_, id_))
    return None if text is None else yaml.load(text, yaml.CSafeLoader)


def nango_facts(id_):
    """Return Nango's facts of a provider."""
    told = nango_entry(id_)
    in_header = told.get("token_request_auth_method") == "basic" or told.get("authorization_method") == "header"
    return facts(
        authorization_url=DEFAULT.sub("", told["authorization_url"]),
        token_url=DEFAULT.sub("", told["token_url"]),
        separator=SEPARATORS.get(told.get("scope_separator")),
        auth="header" if in_header else None,
    )


# Arctic: OAuth clients for JavaScript

ARCTIC_FILES = {"microsoft": "microsoft-entra-id", "quickbooks": "intuit", "x": "twitter"}
ARCTIC_PARTS = {"baseURL": '"https://gitlab.com"', "tenant": '"/common"', "${domain}": "login.salesforce.com"}
ARCTIC_NAMES = {"authorization": "authorization_url", "token": "token_url", "tokenRevocation": "revocation_url"}
ENDPOINT = re.compile(r"\b(authorization|token|tokenRevocation)Endpoint = (.+);")


def arctic_facts(id_):
    """Return Arctic's facts of a provider."""
    found = {}
    for name, value in ENDPOINT.findall(file_of("arctic", f"dist/providers/{ARCTIC_FILES.get(id_, id_)}.js")):
        for part, inner in ARCTIC_PARTS.items():
            value = value.replace(part, inner)
        found[ARCTIC_NAMES[name]] = "".join(re.findall(r"[\"`]([^\"`]*)[\"`]", value))
    return facts(**found)


# social-auth-core: logins for Python

SOCIAL_NAMES = {
    **{"google": "google-oauth2", "dropbox": "dropbox-oauth2", "microsoft": "microsoft-graph", "zoom": "zoom-oauth2"},
    **{"linkedin": "linkedin-oauth2", "salesforce": "salesforce-oauth2", "x": "twitter-oauth2"},
}
SOCIAL_FILES = {"x": "twitter_oauth2"}


def social_facts(id_):
    """Return social-auth-core's facts of a provider: the constants of its class."""
    source = wheel("social_auth_core").read(f"social_core/backends/{SOCIAL_FILES.get(id_, id_)}.py")
    for node in ast.parse(source).body:
        values = _constants(node) if isinstance(node, ast.ClassDef) else {}
        if values.get("name") == SOCIAL_NAMES.get(id_, id_):
            return facts(
                authorization_url=values["AUTHORIZATION_URL"],
                token_url=values["ACCESS_TOKEN_URL"],
                revocation_url=values.get("REVOKE_TOKEN_URL"),
                separator=SEPARATORS.get(values.get("SCOPE_SEPARATOR")),
                auth="header" if values.get("USE_BASIC_AUTH") else None,
            )
    raise LookupError(f"social-auth-core has no {id_} any more")


def _constants(class_):
    values = {}
    for line in class_.body:
        if isinstance(line, ast.Assign):
            if isinstance(line.value, ast.Constant):
                values[line.targets[0].id] = line.value.value
            elif isinstance(line.value, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else part.value.id for part in line.value.values]
                values[line.targets[0].id] = "".join(values.get(part, part) for part in parts)
    return values


# Clients of the services themselves, and of Reddit


def _only(pattern, text):
    """Return the only text that the pattern finds."""
    (found,) = set(re.findall(pattern, text))
    return found


def pipedrive_facts():
    """Return the facts in Pipedrive's own client."""
    text = file_of("pipedrive", "dist/versions/v2/configuration.js")
    host = _only(r'"(https://oauth\.[^"]+)"', text)
    paths = {path: host + path for path in re.findall(r"\$\{this\.host\}(/oauth/\w+)", text)}
    return facts(
        authorization_url=paths["/oauth/authorize"],
        token_url=paths["/oauth/token"],
        revocation_url=paths["/oauth/revoke"],
        auth="header" if _only(r"Authorization'?: [`'](\w+) ", text) == "Basic" else None,
    )


def intuit_facts():
    """Return the facts in Intuit's own client."""
    text = file_of("intuit-oauth", "src/OAuthClient.js")
    told = dict(re.findall(r"^OAuthClient\.(\w+) = '(.*)';", text, re.MULTILINE))
    return facts(
        authorization_url=told["authorizeEndpoint"],
        token_url=told["tokenEndpoint"],
        revocation_url=told["revokeEndpoint"],
    )


def notion_facts():
    """Return the facts in Notion's own client, which people are not sent by."""
    text = file_of("notionhq-client", "build/src/api-endpoints/oauth.js")
    paths = {path: "https://api.notion.com/v1/" + path for path in re.findall(r"=> `(oauth/\w+)`", text)}
    return facts(token_url=paths["oauth/token"], revocation_url=paths["oauth/revoke"])


def slack_facts():
    """Return the facts in Slack's own client."""
    text = wheel("slack_sdk").read("slack_sdk/oauth/authorize_url_generator/__init__.py").decode()
    login = text.partition("class OpenIDConnect")[0]
    client = wheel("slack_sdk").read("slack_sdk/web/client.py").decode()
    return facts(
        authorization_url=_only(r'authorization_url: str = "(.*?)"', login),
        token_url="https://slack.com/api/" + _only(r'"(oauth\.v\d\.access)"', client),
        separator=SEPARATORS[_only(r'"(.)"\.join\(self\.\w*scopes\)', login)],
    )


def x_facts():
    """Return the facts in X's own client."""
    text = wheel("xdk").read("xdk/oauth2_auth.py").decode()
    bases = dict(re.findall(r'^ +(\w+): str = "(https://.*?)"', text, re.MULTILINE))
    return facts(
        authorization_url=bases["authorization_base_url"] + _only(r"\{self\.authorization_base_url\}(/[^\"]+)", text),
        token_url=bases["base_url"] + _only(r"\{self\.base_url\}(/[^\"]+)", text),
    )


def reddit_facts():
    """Return the facts in the client that PRAW uses."""
    text = wheel("prawcore").read("prawcore/const.py").decode()
    paths = {name: "https://www.reddit.com" + path for name, path in re.findall(r'^(\w+_PATH) = "(.*?)"', text, re.M)}
    code = wheel("prawcore").read("prawcore/auth.py").decode()
    return facts(
        authorization_url=paths["AUTHORIZATION_PATH"],
        token_url=paths["ACCESS_TOKEN_PATH"],
        revocation_url=paths["REVOKE_TOKEN_PATH"],
        separator=SEPARATORS[_only(r'"(.)"\.join\(scopes\)', code)],
    )


OWN = {
    "pipedrive": ("pipedrive", pipedrive_facts),
    "quickbooks": ("intuit-oauth", intuit_facts),
    "notion": ("@notionhq/client", notion_facts),
    "slack": ("slack_sdk", slack_facts),
    "slack_user": ("slack_sdk", slack_facts),
    "x": ("xdk", x_facts),
    "reddit": ("prawcore", reddit_facts),
}
ARCTIC = {
    *("atlassian", "discord", "dropbox", "facebook", "github", "gitlab", "google", "linear", "linkedin", "microsoft"),
    *("notion", "quickbooks", "reddit", "salesforce", "spotify", "x", "zoom"),
}
SOCIAL = {
    *("asana", "atlassian", "discord", "dropbox", "facebook", "github", "gitlab", "google", "hubspot", "linkedin"),
    *("mailchimp", "microsoft", "reddit", "salesforce", "spotify", "x", "zoom"),
}


@cache
def told_by(id_):
    """Return the facts of a provider by the package that states them."""
    found = {"grant": grant().get(id_), "nango": nango_facts(id_) if nango_entry(id_) else None}
    found["arctic"] = arctic_facts(id_) if id_ in ARCTIC else None
    found["social-auth-core"] = social_facts(id_) if id_ in SOCIAL else None
    if id_ in OWN:
        found[OWN[id_][0]] = OWN[id_][1]()
    return {package: told for package, told in found.items() if told}


# Scopes


@cache
def google_scopes():
    """Return the scopes of Google's APIs in its discovery documents."""
    found = set()
    for name in sorted(DOCUMENTS):
        document = wheel("google_api_python_client").read(f"googleapiclient/discovery_cache/documents/{name}.json")
        found |= set(orjson.loads(document)["auth"]["oauth2"]["scopes"])
    return found


def discord_scopes():
    """Return the scopes of Discord."""
    text = file_of("discord-api-types", "payloads/v10/oauth2.d.ts")
    return set(re.findall(r'^ +\w+ = "([a-z._]+)"', text, re.MULTILINE))


# Nango lists scopes by product.
NANGO_PRODUCTS = {
    "facebook": ("instagram", "meta-marketing-api", "meta-mcp"),
    "microsoft": ("microsoft-teams", "outlook"),
}


def known_scopes(id_):
    """Return the scopes of a provider that packages know."""
    found = {"google": google_scopes, "discord": discord_scopes}.get(id_, set)()
    for name in (id_, *NANGO_PRODUCTS.get(id_, ())):
        found = found | set(nango_entry(name, "providers.scopes.yaml") or ())
    return found
