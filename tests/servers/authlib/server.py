"""An authorization server (Authlib, on Flask) and an API that takes its tokens. See ../README.md for what it
reads, prints and answers."""

import json
import logging
import os
import sys
import threading

# Loopback has no TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from grants import (
    GRANT_TYPES,
    BearerTokens,
    ClientAssertion,
    ClientCredentials,
    JwtBearer,
    Refresh,
)
from store import Store


def create_app(config, store):
    app = Flask(__name__)
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = dict.fromkeys(GRANT_TYPES, config.get("access_token_ttl", 600))
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    app.config["OAUTH2_SCOPES_SUPPORTED"] = config.get("scopes")
    server = AuthorizationServer(app, store.client, store.save)
    server.register_client_auth_method(ClientAssertion.CLIENT_AUTH_METHOD, ClientAssertion(store))
    for grant in (ClientCredentials, Refresh, JwtBearer):
        server.register_grant(type(grant.__name__, (grant,), {"store": store}))
    protector = ResourceProtector()
    protector.register_token_validator(BearerTokens(store, realm="api"))

    @app.post("/token")
    def token():
        store.count("token_requests")
        response = server.create_token_response()
        if response.status_code == 200:
            store.count("issued")
        else:
            print(response.get_data(as_text=True), file=sys.stderr)
        return response

    @app.get("/.well-known/oauth-authorization-server")
    def metadata():
        metadata = AuthorizationServerMetadata(
            issuer=store.issuer,
            token_endpoint=store.token_endpoint,
            grant_types_supported=list(GRANT_TYPES),
            # Authlib does not accept that there are none.
            response_types_supported=["code"],
        )
        metadata.validate()
        return dict(metadata)

    @app.get("/api")
    def api():
        try:
            accepted = protector.acquire_token(request.args.get("scope"))
        except OAuth2Error as error:
            status, body, headers = error()
            store.count("forbidden" if status == 403 else "rejected")
            return Response(json.dumps(dict(body)), status, headers)
        store.count("accepted")
        return {
            "client_id": accepted.client_id,
            "sub": accepted.user,
            "scope": accepted.get_scope(),
        }

    @app.get("/admin/counters")
    def counters():
        return store.counters

    @app.post("/admin/revoke")
    def revoke():
        return {"revoked": store.revoke(request.get_json()["token"])}

    @app.post("/admin/mint")
    def mint():
        """What a user would have got by logging in and consenting."""
        wish = request.get_json()
        minted = {
            "access_token": generate_token(42),
            "refresh_token": generate_token(48),
            "expires_in": config.get("access_token_ttl", 600),
            "scope": wish["scope"],
        }
        store.add(wish["client_id"], wish["sub"], minted)
        return minted

    return app


def main():
    config = json.loads(sys.stdin.readline())
    store = Store(config)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Connections are kept.
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server("127.0.0.1", 0, create_app(config, store), threaded=True)
    origin = f"http://127.0.0.1:{server.server_port}"
    store.issuer, store.token_endpoint = origin, f"{origin}/token"
    threading.Thread(target=server.serve_forever, daemon=True).start()

    print(json.dumps({"issuer": origin, "token_endpoint": store.token_endpoint}), flush=True)
    # Until the test has gone, or was killed.
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
