"""The OAuth servers that we know are compared with packages that know them too.

What differs stands here with its reason, and what no package confirms with the page that it is from.
"""

import published_oauth as published
import pytest

from packs.oauth.settings import providers

URLS = ("authorization_url", "token_url", "revocation_url")
OLD_X = "its address before the service was renamed"
OLD_REDDIT = "an older host, which Reddit's documentation once had too"
OLD_HUBSPOT = "version 1 ends in February 2027: developers.hubspot.com/changelog/v1-oauth-api-deprecation"
OLD_GOOGLE = "older addresses; ours are those of accounts.google.com/.well-known/openid-configuration"
OLD_SLACK = "the first version of Slack's OAuth, for classic apps"
DISCORD = "leads to the page that docs.discord.com/developers/topics/oauth2 names, as we do"
DIFFERENT = {
    ("discord", "authorization_url", "grant"): DISCORD,
    ("discord", "authorization_url", "nango"): DISCORD,
    ("discord", "authorization_url", "social-auth-core"): DISCORD,
    ("dropbox", "revocation_url", "arctic"): "takes the token as a header, unlike RFC 7009",
    ("facebook", "revocation_url", "social-auth-core"): "a DELETE, unlike RFC 7009",
    ("github", "separator", "social-auth-core"): "docs.github.com has spaces",
    ("google", "authorization_url", "social-auth-core"): OLD_GOOGLE,
    ("google", "token_url", "social-auth-core"): OLD_GOOGLE,
    ("google", "revocation_url", "social-auth-core"): OLD_GOOGLE,
    ("hubspot", "token_url", "nango"): OLD_HUBSPOT,
    ("hubspot", "token_url", "social-auth-core"): OLD_HUBSPOT,
    ("monday", "token_url", "nango"): "of the flow before OAuth 2.1: developer.monday.com/apps/docs/oauth-2-1",
    ("reddit", "authorization_url", "grant"): OLD_REDDIT,
    ("reddit", "authorization_url", "social-auth-core"): OLD_REDDIT,
    ("reddit", "token_url", "grant"): OLD_REDDIT,
    ("reddit", "token_url", "social-auth-core"): OLD_REDDIT,
    ("reddit", "separator", "social-auth-core"): "prawcore has spaces",
    ("slack", "authorization_url", "grant"): OLD_SLACK,
    ("slack", "token_url", "grant"): OLD_SLACK,
    ("x", "authorization_url", "arctic"): OLD_X,
    ("x", "authorization_url", "social-auth-core"): OLD_X,
    ("x", "token_url", "arctic"): OLD_X,
    ("x", "token_url", "nango"): OLD_X,
    ("x", "token_url", "social-auth-core"): OLD_X,
    ("x", "revocation_url", "arctic"): OLD_X,
}
UNCONFIRMED = {
    ("asana", "revocation_url"): "developers.asana.com/docs/oauth",
    ("calendly", "revocation_url"): "developer.calendly.com/api-docs/calendly-o-auth/o-auth/post-oauth-revoke",
    ("hubspot", "token_url"): "developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide",
    ("hubspot", "revocation_url"): "developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide",
    ("linear", "revocation_url"): "linear.app/developers/oauth-2-0-authentication",
    ("monday", "token_url"): "developer.monday.com/apps/docs/oauth-2-1",
    ("monday", "revocation_url"): "developer.monday.com/apps/docs/oauth-2-1",
    ("x", "revocation_url"): "the path is Arctic's, the host that of X's own client",
    ("xero", "revocation_url"): "identity.xero.com/.well-known/openid-configuration",
}
WITH_PKCE = {  # Nango sends no PKCE to these
    "linear": "linear.app/developers/oauth-2-0-authentication takes it",
    "microsoft": "learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow recommends it",
    "monday": "developer.monday.com/apps/docs/oauth-2-1 requires it",
}
DROPBOX = "www.dropbox.com/developers/documentation/http/documentation, under the scope of each call"
UNLISTED = {
    ("airtable", "user.email:read"): "airtable.com/developers/web/api/scopes",
    ("airtable", "webhook:manage"): "airtable.com/developers/web/api/scopes",
    ("dropbox", "account_info.read"): DROPBOX,
    ("dropbox", "files.content.read"): DROPBOX,
    ("dropbox", "files.content.write"): DROPBOX,
    ("dropbox", "files.metadata.read"): DROPBOX,
    ("dropbox", "sharing.read"): DROPBOX,
    ("dropbox", "sharing.write"): DROPBOX,
    ("linkedin", "openid"): "of OpenID Connect, like profile and email",
    ("microsoft", "https://outlook.office.com/IMAP.AccessAsUser.All"): "of Exchange, not of the Graph API",
    ("microsoft", "https://outlook.office.com/SMTP.Send"): "of Exchange, not of the Graph API",
}


def facts_of(id_):
    """Return our facts of a provider, as packages have them."""
    provider = providers()[id_]
    addresses = {name: published.normal(provider[name]) for name in URLS if name in provider}
    scopes = {"separator": provider.get("separator", "space")} if len(provider["scopes"]) > 1 else {}
    return {**addresses, **scopes, "auth": provider["auth"]}


@pytest.mark.parametrize("id_", sorted(providers()))
def test_packages_say_the_same_of_an_oauth_server(id_):
    ours = facts_of(id_)
    different = {
        (id_, name, package)
        for package, told in published.told_by(id_).items()
        for name, value in told.items()
        if value != ours.get(name) and (name in ours or name in URLS)
    }
    assert different == {key for key in DIFFERENT if key[0] == id_}


@pytest.mark.parametrize("id_", sorted(providers()))
def test_a_package_confirms_each_address_of_an_oauth_server(id_):
    ours, told = facts_of(id_), published.told_by(id_).values()
    missing = {(id_, name) for name in URLS if name in ours and ours[name] not in {each.get(name) for each in told}}
    assert missing == {key for key in UNCONFIRMED if key[0] == id_}


@pytest.mark.parametrize("id_", sorted(providers()))
def test_scopes_of_an_oauth_server_are_known_to_packages(id_):
    unknown = {(id_, scope["value"]) for scope in providers()[id_]["scopes"]}
    unknown -= {(id_, scope) for scope in published.known_scopes(id_)}
    assert unknown == {key for key in UNLISTED if key[0] == id_}


def test_pkce_goes_to_servers_that_take_it():
    disabled = {id_ for id_ in providers() if published.nango_entry(id_).get("disable_pkce")}
    assert {id_ for id_ in disabled if providers()[id_]["pkce"]} == set(WITH_PKCE)
