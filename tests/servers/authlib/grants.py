"""What Authlib leaves to whoever uses it: which clients and tokens there are, and what they may do."""

from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from joserfc.jwk import KeySet, OctKey

GRANT_TYPES = ("client_credentials", "refresh_token", JWTBearerGrant.GRANT_TYPE)

AUTH_METHODS = [
    "client_secret_basic",
    "client_secret_post",
    JWTBearerClientAssertion.CLIENT_AUTH_METHOD,
]


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS


class Refresh(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = [*AUTH_METHODS, "none"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        return self.store.refreshable(refresh_token)

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        refresh_token.refresh_token_used = True


class JwtBearer(JWTBearerGrant):
    def resolve_issuer_client(self, issuer):
        return self.store.client(issuer)

    def resolve_client_public_key(self, client):
        return KeySet.import_key_set(client.metadata["jwks"])

    def authenticate_user(self, subject):
        return subject

    def get_audiences(self):
        return self.store.audiences()

    def has_granted_permission(self, client, user):
        return True


class ClientAssertion(JWTBearerClientAssertion):
    """`client_secret_jwt` and `private_key_jwt`, which are one to Authlib."""

    def __init__(self, store):
        super().__init__()
        self.store = store

    def get_audiences(self):
        return self.store.audiences()

    def resolve_client_public_key(self, client):
        if client.metadata["token_endpoint_auth_method"] == "client_secret_jwt":
            return OctKey.import_key(client.metadata["client_secret"])
        return KeySet.import_key_set(client.metadata["jwks"])

    def validate_jti(self, claims, jti):
        return self.store.is_first_use(claims["sub"], jti)


class BearerTokens(BearerTokenValidator):
    def __init__(self, store, **attributes):
        super().__init__(**attributes)
        self.store = store

    def authenticate_token(self, token_string):
        return self.store.token(token_string)
