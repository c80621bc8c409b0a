"""The one shape of errors of the API."""


def check_shape(answer, status):
    """Check that the body has exactly the error shape, and return its text."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    body = answer.json
    assert set(body) <= {"error", "details"} and isinstance(body["error"], str) and body["error"].strip()
    for detail in body.get("details", []):
        assert isinstance(detail["path"], str) and isinstance(detail["message"], str) and detail["message"]
    return body["error"]
