"""What connectors send fits the types that services publish for JavaScript, with each choice of each input."""

import published_packages as published
import pytest
from connector_requests import operations_of, requests_of, responses_of


@pytest.mark.parametrize(("type_", "id_"), operations_of("github"))
def test_github_knows_what_is_sent(type_, id_, make_ctx):
    for request in requests_of(type_, id_, make_ctx, all_choices=True):
        assert published.github_problems(*request) == [], request
    for response in responses_of(type_, id_):
        assert published.github_answer_problems(*response) == [], response
