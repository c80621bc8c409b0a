"""How packages check the webhooks of services: their own functions, or the texts that tell the form of a signature.

Of a Python package, only the classes and functions named here are executed, read from the wheel: it is not installed.
Of packages for JavaScript nothing is executed.
"""

import __future__

import ast
import hashlib
import hmac
import re
from types import SimpleNamespace

from published_apis import wheel
from published_packages import file_of


class Refused(Exception):
    """A package refuses a signature."""


def load(package, file, *names, **given):
    """Return the classes and functions with these names in a module of a package; `given` are other names in it."""
    tree = ast.parse(wheel(package).read(file))
    wanted = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names]
    found = {"hashlib": hashlib, "hmac": hmac, "sha256": hashlib.sha256, **given}
    flags = __future__.annotations.compiler_flag  # the types in annotations are not imported
    exec(compile(ast.Module(wanted, []), file, "exec", flags), found)
    return [found[name] for name in names]


def is_accepted(check, *args, **kwargs):
    """Return True if a check of a package neither raises nor returns False."""
    try:
        return check(*args, **kwargs) is not False
    except Refused:
        return False


def github(secret, now):
    """Return the check of gidgethub."""
    (validate,) = load("gidgethub", "gidgethub/sansio.py", "validate_event", ValidationFailure=Refused)
    return lambda headers, body: is_accepted(
        validate, body, signature=headers.get("X-Hub-Signature-256", ""), secret=secret
    )


def whatsapp(secret, now):
    """Return the check of pywa."""
    (validate,) = load("pywa", "pywa/utils.py", "webhook_updates_validator")
    return lambda headers, body: is_accepted(validate, secret, body, headers.get("X-Hub-Signature-256", ""))


def slack(secret, now):
    """Return the check of Slack's own client."""
    file = "slack_sdk/signature/__init__.py"
    verifier = load("slack_sdk", file, "Clock", "SignatureVerifier", time=lambda: now)[1](secret)
    return lambda headers, body: is_accepted(verifier.is_valid_request, body, headers)


def stripe(secret, now):
    """Return the check of Stripe's own client."""
    given = {"time": SimpleNamespace(time=lambda: now), "secure_compare": hmac.compare_digest}
    (signature,) = load("stripe", "stripe/_webhook.py", "WebhookSignature", SignatureVerificationError=Refused, **given)
    return lambda headers, body: is_accepted(
        signature.verify_header, body, headers.get("Stripe-Signature"), secret, tolerance=300
    )


def signed_by_slack(secret, body, at):
    """Return the headers of a body that Slack's own client signs."""
    verifier = load("slack_sdk", "slack_sdk/signature/__init__.py", "Clock", "SignatureVerifier", time=None)[1](secret)
    signature = verifier.generate_signature(timestamp=str(at), body=body)
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": signature}


def signed_by_stripe(secret, body, at):
    """Return the headers of a body that Stripe's own client signs."""
    (signature,) = load("stripe", "stripe/_webhook.py", "WebhookSignature")
    return {"Stripe-Signature": signature.generate_signature_header(body.decode(), secret, at)}


def pywa_words():
    """Return the words of Meta's check of a new address, and the header of its signatures, by pywa's names."""
    text = wheel("pywa").read("pywa/utils.py").decode()
    return dict(re.findall(r'^(HUB_\w+) = "(.*)"', text, re.MULTILINE))


def shopify_headers():
    """Return the headers of Shopify's webhooks by the names in its own client."""
    return dict(
        re.findall(
            r'^ +ShopifyHeader\["(\w+)"\] = "(.*)";', file_of("shopify-shopify-api", "dist/esm/lib/types.mjs"), re.M
        )
    )


def shopify_form():
    """Return the encoding in which Shopify's own client compares the signature of a body."""
    text = file_of("shopify-shopify-api", "dist/esm/lib/utils/hmac-validator.mjs")
    return re.search(r"validateHmacString\(config, rawBody, hmac, HashFormat\.(\w+)\)", text)[1].lower()


def typeform_form():
    """Return the header, algorithm, encoding and prefix of Typeform's signatures in Trigger.dev's code."""
    text = file_of("trigger.dev-typeform", "dist/index.js")
    header = re.search(r'headers\.get\("([\w-]*signature)"\)', text)[1]
    algorithm, encoding = re.search(
        r'createHmac\("(\w+)", [\w.]+\)\.update\(rawBody\)\.digest\("(\w+)"\)', text
    ).groups()
    return header, algorithm, encoding, re.search(r"`(\S+?)\$\{hash\}`", text)[1]


def telegram_header():
    """Return the header with the secret token of Telegram's webhooks in aiogram's server."""
    text = wheel("aiogram").read("aiogram/webhook/aiohttp_server.py").decode()
    return re.search(r'verify_secret\(request\.headers\.get\("([\w-]+)"', text)[1]


def telegram_updates():
    """Return the kinds of updates that a Telegram bot receives."""
    text = wheel("aiogram").read("aiogram/types/update.py").decode()
    return set(re.findall(r"^    (\w+): ", text, re.MULTILINE)) - {"update_id"}


def stripe_events():
    """Return the events that Stripe sends to webhooks."""
    text = wheel("stripe").read("stripe/params/_webhook_endpoint_create_params.py").decode()
    return set(re.findall(r'"([\w.]+)"', text.partition("enabled_events:")[2]))
