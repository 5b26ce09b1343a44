"""PyPI Authlib, unmodified, as an application uses it. The person at the browser is played here: forms without script."""

import os
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc.jwk import ECKey
from walk import CALLBACK, EMAIL, ISSUER, did, version, walk

# The issuer is http on a loopback address.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

metadata = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=30).json()
keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())


def session(client_id: str, secret: str | None, method: str) -> OAuth2Session:
    return OAuth2Session(
        client_id,
        secret,
        redirect_uri=CALLBACK,
        scope="openid profile email",
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        code_challenge_method="S256",
    )


for client_id, secret, method in [
    ("web", os.environ["WEB_SECRET"], "client_secret_basic"),
    ("web", os.environ["WEB_SECRET"], "client_secret_post"),
    ("spa", None, "none"),
]:
    client, verifier = session(client_id, secret, method), "v" * 64
    url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, nonce="n")
    landed = walk(requests.Session(), url)
    assert parse_qs(urlsplit(landed).query)["iss"] == [ISSUER]
    tokens = client.fetch_token(
        metadata["token_endpoint"], authorization_response=landed, state=state, code_verifier=verifier
    )
    claims = jwt.decode(
        tokens["id_token"],
        keys,
        claims_cls=CodeIDToken,
        claims_options={"iss": {"values": [ISSUER]}, "aud": {"values": [client_id]}},
        claims_params={"nonce": "n", "access_token": tokens["access_token"], "client_id": client_id},
    )
    claims.validate()
    assert client.get(metadata["userinfo_endpoint"]).json()["email"] == EMAIL
    before = tokens["refresh_token"]
    renewed = client.refresh_token(metadata["token_endpoint"], refresh_token=before)
    assert renewed["refresh_token"] != before
    if secret:
        told = client.introspect_token(metadata["introspection_endpoint"], token=renewed["access_token"])
        assert told.json()["active"] is True
        did("introspection")
    client.revoke_token(metadata["revocation_endpoint"], token=renewed["refresh_token"])
    assert client.get(metadata["userinfo_endpoint"]).status_code == 401
    did("code", "id_token", "userinfo", "refresh", "revocation")
    print(f"done: code, {client_id} by {method}")

job = OAuth2Session("job", os.environ["JOB_SECRET"], scope="stock:read")
assert job.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")["scope"] == "stock:read"
did("client_credentials")

key = ECKey.import_key(os.environ["SIGNER_KEY"])
signer = OAuth2Session("signer", key, token_endpoint_auth_method="private_key_jwt")
signer.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"], alg="ES256"))
assert signer.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")["access_token"]
did("private_key_jwt")
print("done: client credentials")
version("Authlib")
