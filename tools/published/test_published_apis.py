"""What connectors send is known to the services: compared with the descriptions that these publish.

Besides its example, each operation is compared with all of its inputs filled in, as far as a value for them is obvious.
"""

import re
from urllib.parse import urlsplit

import published_apis as published
import pytest
from connector_requests import operations_of, requests_of

from packs.connectors import connector_files

GOOGLE = [type_ for type_ in sorted(connector_files.types()) if type_.startswith("google_")] + ["gmail", "youtube"]


@pytest.mark.parametrize(("type_", "id_"), operations_of(*GOOGLE))
def test_google_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_):
        if method == "PUT" and "upload_id" in query:
            continue  # the address of an upload, which Google gave
        url = url.replace("www.googleapis.com/youtube/", "youtube.googleapis.com/youtube/")
        url = url.replace("www.googleapis.com/upload/youtube/", "youtube.googleapis.com/upload/youtube/")
        told = published.find(published.google_methods(), method, url)
        assert told is not None, (method, url)
        assert set(query) - told.query == set(), url
        assert list(published.unknown_fields(body if isinstance(body, dict) else {}, told.body)) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("slack"))
def test_slack_knows_what_is_sent(type_, id_):
    for _, url, query, body in requests_of(type_, id_):
        if not url.startswith("https://slack.com/api/"):
            continue  # the address for an upload, which Slack gave
        arguments = published.slack_methods()[url.removeprefix("https://slack.com/api/")]
        assert {*query, *(body or {})} - arguments == set(), url


@pytest.mark.parametrize(("type_", "id_"), operations_of("stripe"))
def test_stripe_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_):
        found = [told for told in published.stripe_methods() if told[0] == method and told[1].match(urlsplit(url).path)]
        assert found, (method, url)
        shape = {} if found[0][2] is None else published.stripe_shape(*found[0][2])
        for name in {**query, **(body or {})}:
            parts = re.findall(r"[^\[\]]+", name)
            sent = {}
            for part in reversed([part for part in parts if not part.isdecimal()]):
                sent = {part: sent}
            assert list(published.unknown_fields(sent, shape)) == [], (url, name)


@pytest.mark.parametrize(("type_", "id_"), operations_of("openai"))
def test_openai_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_):
        path = url.removeprefix("https://api.openai.com/v1")
        found = [told for told in published.openai_methods() if told[0] == method and told[1].match(path)]
        assert found, (method, url)
        assert {*query, *(body if isinstance(body, dict) else {})} - set().union(*(told[2] for told in found)) == set()


@pytest.mark.parametrize(("type_", "id_"), operations_of("gitlab"))
def test_gitlab_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        path = url.removeprefix("https://gitlab.com/api/v4")
        found = [told for told in published.gitlab_calls() if told[0] == method and told[1].match(path)]
        assert found, (method, url)
        known = {"variables"} if path.endswith("/pipeline") else set()  # the client leaves them to its callers
        assert {*query, *(body or {})} - known.union(*(told[2] for told in found)) == set(), url


@pytest.mark.parametrize(("type_", "id_"), operations_of("asana"))
def test_asana_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        path = url.removeprefix("https://app.asana.com/api/1.0")
        told = published.find(published.asana_calls(), method, path)
        assert told is not None, (method, url)
        assert set(query) - told == set(), url
        assert body is None or set(body) == {"data"}, url
