"""PyPI's joserfc on the other side: reads one batch of tasks from stdin and answers all of them on stdout."""

import base64
import json
import sys
import warnings

from joserfc import jwe, jws
from joserfc.jwk import import_key

# It warns of what is old, and of what is short. Both are tested here all the same.
warnings.simplefilter("ignore")


def octets(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def sign(task):
    header = {"alg": task["alg"]}
    return jws.serialize_compact(header, octets(task["payload"]), import_key(task["key"]), [task["alg"]])


def verify(task):
    return text(jws.deserialize_compact(task["token"], import_key(task["key"]), [task["alg"]]).payload)


def encrypt(task):
    header = {"alg": task["alg"], "enc": task["enc"]}
    return jwe.encrypt_compact(header, octets(task["payload"]), import_key(task["key"]), [task["alg"], task["enc"]])


def decrypt(task):
    return text(jwe.decrypt_compact(task["token"], import_key(task["key"]), [task["alg"], task["enc"]]).plaintext)


WORK = {"sign": sign, "verify": verify, "encrypt": encrypt, "decrypt": decrypt}

answers = []
for task in json.load(sys.stdin):
    try:
        answers.append({"answer": WORK[task["work"]](task)})
    except Exception as error:
        answers.append({"error": f"{type(error).__name__}: {error}"})
json.dump(answers, sys.stdout)
