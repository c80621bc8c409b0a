"""OAuth: credentials with access tokens (OAuth2): accounts that people connect, and clients without a person."""

from packs.oauth.accounts import Accounts
from packs.oauth.credential_types import GoogleServiceAccount, OAuth2, OAuth2ClientCredentials, OAuth2RefreshToken
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_credential_types(
        oauth2_client_credentials=OAuth2ClientCredentials(),
        oauth2=OAuth2(),
        oauth2_refresh_token=OAuth2RefreshToken(),
        google_service_account=GoogleServiceAccount(),
    )
    registry.accounts = Accounts()
    registry.add_api("packs.oauth.views:blueprint", "packs.oauth.views:callback")
