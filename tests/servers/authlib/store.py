"""Clients, tokens and counters, in memory."""

import secrets
import threading
import time

from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.util import list_to_scope, scope_to_list
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion


class Client(ClientMixin):
    """Made of the metadata of RFC 7591."""

    def __init__(self, metadata):
        self.metadata = metadata

    def get_client_id(self):
        return self.metadata["client_id"]

    def get_allowed_scope(self, scope):
        if not scope:
            return ""
        allowed = scope_to_list(self.metadata.get("scope", scope))
        return list_to_scope([each for each in scope_to_list(scope) if each in allowed])

    def check_client_secret(self, client_secret):
        expected = self.metadata.get("client_secret", "")
        return secrets.compare_digest(expected.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        own = self.metadata["token_endpoint_auth_method"]
        if method == JWTBearerClientAssertion.CLIENT_AUTH_METHOD:
            return own in ("client_secret_jwt", "private_key_jwt")
        return own == method

    def check_grant_type(self, grant_type):
        return grant_type in self.metadata["grant_types"]


class Token(TokenMixin):
    def __init__(self, client_id, user, issued):
        self.client_id = client_id
        self.user = user
        self.issued = issued
        self.ends = time.time() + issued["expires_in"]
        self.revoked = False
        self.refresh_token_used = False

    def check_client(self, client):
        return self.client_id == client.get_client_id()

    def get_scope(self):
        return self.issued.get("scope", "")

    def get_expires_in(self):
        return self.issued["expires_in"]

    def is_expired(self):
        return self.ends <= time.time()

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user


class Store:
    def __init__(self, config):
        self.issuer = self.token_endpoint = None
        self.counters = dict.fromkeys(("token_requests", "issued", "accepted", "rejected", "forbidden"), 0)
        self._audience = config.get("audience", "token_endpoint")
        self._clients = {each["client_id"]: Client(each) for each in config["clients"]}
        self._tokens = []
        self._jtis = set()
        self._lock = threading.Lock()

    def audiences(self):
        """RFC 7523, section 3, leaves open which; this is to be the only one."""
        return [getattr(self, self._audience)]

    def client(self, client_id):
        return self._clients.get(client_id)

    def save(self, issued, request):
        self.add(request.client.get_client_id(), request.user, issued)

    def add(self, client_id, user, issued):
        with self._lock:
            self._tokens.append(Token(client_id, user, issued))

    def token(self, text):
        return self._find("access_token", text)

    def refreshable(self, text):
        token = self._find("refresh_token", text)
        return None if token is None or token.refresh_token_used else token

    def revoke(self, text):
        token = self.token(text)
        if token is None or token.revoked:
            return 0
        token.revoked = True
        return 1

    def is_first_use(self, client_id, jti):
        with self._lock:
            known = (client_id, jti) in self._jtis
            self._jtis.add((client_id, jti))
            return not known

    def count(self, what):
        with self._lock:
            self.counters[what] += 1

    def _find(self, kind, text):
        with self._lock:
            return next((each for each in self._tokens if each.issued.get(kind) == text), None)
