"""PyPI Authlib, unmodified, as an application uses it. The person at the browser is played here: forms without script."""

import os
import re
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt
from authlib.oidc.core import CodeIDToken

ISSUER, EMAIL, PASSWORD = (os.environ[name] for name in ("ISSUER", "EMAIL", "PASSWORD"))
CALLBACK = "http://127.0.0.1:9/cb"
# The issuer is http on a loopback address.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


def walk(browser: requests.Session, url: str) -> str:
    """Goes where it is sent and fills forms in, until it leads to the application: there."""
    method, data, headers = "GET", None, {}
    for _ in range(12):
        answer = browser.request(method, url, data=data, headers=headers, allow_redirects=False)
        if answer.status_code == 303:
            method, data, headers = "GET", None, {}
            url = urljoin(url, answer.headers["location"])
            if not url.startswith(ISSUER):
                return url
            continue
        assert answer.status_code == 200, answer.text
        action = re.search(r'<form method="post" action="([^"]*)"', answer.text).group(1)
        data = {"request": re.search(r'name="request" value="([^"]*)"', answer.text).group(1)}
        data |= {"identifier": EMAIL, "password": PASSWORD} if action == "/login" else {"decision": "allow"}
        method, url, headers = "POST", urljoin(ISSUER, action), {"Origin": ISSUER}
    raise AssertionError("it goes round in circles")


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
    client.revoke_token(metadata["revocation_endpoint"], token=renewed["refresh_token"])
    assert client.get(metadata["userinfo_endpoint"]).status_code == 401
    print(f"done: code, {client_id} by {method}")

job = OAuth2Session("job", os.environ["JOB_SECRET"], scope="stock:read")
assert job.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")["scope"] == "stock:read"
print("done: client credentials")
