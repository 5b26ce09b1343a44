"""PyPI requests-oauthlib, unmodified and over TLS, which it insists on. It knows OAuth and no OpenID: ID tokens pass it by."""

import os

import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests_oauthlib import OAuth2Session
from walk import CALLBACK, EMAIL, ISSUER, did, version, walk

TOKEN, USERINFO = f"{ISSUER}/oauth2/token", f"{ISSUER}/oauth2/userinfo"
# It compares the scope of the answer with the one it asked for, and fails over a difference unless this is set. It is not set.
assert "OAUTHLIB_RELAX_TOKEN_SCOPE" not in os.environ

for client_id, extra in [
    ("web", {"client_secret": os.environ["WEB_SECRET"]}),
    ("spa", {"include_client_id": True}),
]:
    kept = []
    session = OAuth2Session(
        client_id,
        redirect_uri=CALLBACK.replace("http:", "https:"),
        scope=["openid", "profile", "email"],
        pkce="S256",
        auto_refresh_url=TOKEN,
        token_updater=kept.append,
    )
    url, state = session.authorization_url(f"{ISSUER}/oauth2/authorize")
    landed = walk(requests.Session(), url)
    tokens = session.fetch_token(TOKEN, authorization_response=landed, **extra)
    assert session.get(USERINFO).json()["email"] == EMAIL
    did("code", "userinfo")

    # Once it believes that the access token is over, it renews it by itself.
    if client_id == "web":
        session.auto_refresh_kwargs = {"client_id": client_id, **extra}
    else:
        session.auto_refresh_kwargs = {"client_id": client_id}
    first = tokens["refresh_token"]
    session.token = {**tokens, "expires_in": -1, "expires_at": 1}
    assert session.get(USERINFO).status_code == 200
    assert kept[0]["refresh_token"] != first
    did("refresh")

    # An old token of a public client's ends what came of it, and the library says so in the standard's word.
    if client_id == "spa":
        session.refresh_token(TOKEN, client_id=client_id)
        try:
            session.refresh_token(TOKEN, refresh_token=first, client_id=client_id)
            raise AssertionError("an old token was taken")
        except InvalidGrantError:
            pass

job = OAuth2Session(client=BackendApplicationClient("job", scope=["stock:read"]))
told = job.fetch_token(TOKEN, client_id="job", client_secret=os.environ["JOB_SECRET"])
assert told["scope"] == ["stock:read"], told
did("client_credentials")
version("requests-oauthlib")
