"""Constants: words and numbers that several packages need, each in this one place. Kinds of errors are in errors.py."""

# The version of Headrace. Everything that tells it reads it here, pyproject.toml too.
VERSION = "0.2.0"

WORKFLOW_STATUSES = ("draft", "active", "archived")
UNFINISHED, ENDED = ("pending", "running"), ("success", "failed")
RUN_STATUSES = UNFINISHED + ENDED
STEP_STATUSES = ("running", "success", "failed", "skipped", "waiting", "repeated")
# The triggers of runs: a person or a program, the clock or a poll, or a call of a webhook.
TRIGGERS = ("manual", "schedule", "webhook")
# Of log entries, and of members, each from the least to the most.
LEVELS = ("debug", "info", "warning", "error")
ROLES = ("viewer", "operator", "editor", "owner")
# The method of a form's address in the table of webhooks. No request has it, so a webhook may have the same path.
FORM_METHOD = "FORM"
HTTP_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# Those that a webhook can take; ANY_METHOD in its config stands for all of them.
WEBHOOK_METHODS, ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE"), "ANY"
# The media types of a sent form.
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
# First characters that make a spreadsheet treat the text of a CSV cell as a formula, including full-width ones.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Operators of a condition on the rows of a table, with their labels.
OPERATORS = {
    "eq": "is", "ne": "is not", "gt": "greater than", "gte": "at least", "lt": "less than", "lte": "at most",
    "contains": "contains", "starts_with": "starts with", "empty": "is empty", "not_empty": "is not empty",
}  # fmt: skip
DAY = 86_400  # seconds
# A change in the audit log whose values are not shown.
CHANGED = {"changed": True}
# The types of credentials for which a server issues access tokens, all of the pack oauth.
TOKEN_TYPES = ("oauth2", "oauth2_refresh_token", "oauth2_client_credentials", "google_service_account")
# The types of credentials that a request over HTTP may be sent with: those with an `authorization`.
HTTP_CREDENTIALS = (
    *("http_basic", "http_bearer", "http_header", "http_headers", "http_query", "http_digest", "oauth1", "aws", "mtls"),
    *TOKEN_TYPES,
)
