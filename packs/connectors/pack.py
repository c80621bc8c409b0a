"""Connectors: services as nodes and as triggers, each written as a JSON file, and webhooks that we add in services."""

from packs.connectors import api, connector_files, trials
from packs.connectors.app_triggers import app_trigger, registered_webhooks, registration
from registry import Registry

NEEDS = ("mail", "oauth", "polls")  # Gmail sends messages of mail
EXTENDS = ("reference",)  # whose pages of connectors pages.py writes


TESTS = trials.check_account  # of credentials: its import has noted it


def setup(registry: Registry) -> None:
    registry.node_finders += [app_trigger, connector_files]
    registry.add_api(api.blueprint, registered_webhooks.blueprint)
    registry.server_jobs.append(registration.make_jobs)
    registry.templates.append("packs.connectors.template_files:read")
    registry.reference_pages.append("packs.connectors.pages")
    registry.preparations.append(lambda config: connector_files.load_own(config.connectors_dir))
