"""A person before an Apache with mod_auth_openidc. What the module holds is read through its own info hook."""

import os
import time

import requests
from walk import EMAIL, ISSUER, did, walk

APP = os.environ["APP"]
PAGE, CALLBACK, BYE = f"{APP}/app/", f"{APP}/app/callback", f"{APP}/bye.html"


def is_let_in(browser: requests.Session) -> bool:
    answer = browser.get(PAGE, allow_redirects=False)
    if answer.status_code == 302:
        assert answer.headers["location"].startswith(f"{ISSUER}/oauth2/authorize?"), answer.headers
        return False
    assert answer.text == "the guarded page", answer.text
    return True


def sign_in(browser: requests.Session) -> None:
    away = browser.get(PAGE, allow_redirects=False)
    landed = walk(browser, away.headers["location"])
    assert landed.startswith(CALLBACK), landed
    assert browser.get(landed).text == "the guarded page"


def info(browser: requests.Session) -> dict:
    return browser.get(CALLBACK, params={"info": "json"}).json()


browser = requests.Session()
assert not is_let_in(browser)
sign_in(browser)
first = info(browser)
assert first["userinfo"]["email"] == EMAIL, first
# It has no `sub` of its own here unless the ID token was good.
assert first["id_token"]["sub"] == first["userinfo"]["sub"] and first["id_token"]["nonce"], first
did("discovery", "code", "id_token", "userinfo")

asked = {"refresh": PAGE, "access_token": first["access_token"]}
renewed = browser.get(CALLBACK, params=asked)
assert renewed.text == "the guarded page" and "error_code" not in renewed.url, renewed.url
second = info(browser)
assert second["access_token"] != first["access_token"] and second["refresh_token"] != first["refresh_token"]
did("refresh")

# Out at Apache, by way of the provider. Before it sends the browser there, it revokes what it has.
away = browser.get(CALLBACK, params={"logout": BYE}, allow_redirects=False)
told = browser.get(f"{ISSUER}/oauth2/userinfo", headers={"Authorization": f"Bearer {second['access_token']}"})
assert told.status_code == 401, told.text
did("revocation")
assert walk(browser, away.headers["location"]) == BYE
assert not is_let_in(browser)
did("logout")

# The person is not signed in at the provider either: `walk` fills the form in again. Then out there, and Apache hears of it.
sign_in(browser)
assert is_let_in(browser)
page = browser.get(f"{ISSUER}/oauth2/logout").text
request = page.split('name="request" value="')[1].split('"')[0]
done = browser.post(f"{ISSUER}/logout", data={"request": request}, headers={"Origin": ISSUER})
assert done.status_code == 200, done.text
deadline = time.monotonic() + 30
while is_let_in(browser):
    assert time.monotonic() < deadline, "Apache was not told"
did("backchannel_logout")
