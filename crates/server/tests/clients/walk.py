"""The person at the browser, for libraries that run without one: redirects and forms, without script."""

import os
import re
from importlib import metadata
from urllib.parse import urljoin

import requests

ISSUER, EMAIL, PASSWORD = (os.environ[name] for name in ("ISSUER", "EMAIL", "PASSWORD"))
CALLBACK = "http://127.0.0.1:9/cb"


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


def did(*flows: str) -> None:
    """Tells the matrix what was done and proved; matrix.rs knows the words."""
    for flow in flows:
        print(f"did: {flow}")


def version(package: str) -> None:
    """Tells the matrix what ran."""
    print(f"version: {metadata.version(package)}")
