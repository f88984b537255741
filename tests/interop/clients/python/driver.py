"""What both Python columns of the table share: requests as JSON lines on stdin, answers on stdout, record files.

What a client has no call for is answered as `unsupported`.
"""

import base64
import json
import sys

TIMEOUT = 15.0


class Unsupported(Exception):
    pass


def serve(client):
    for line in sys.stdin:
        request = json.loads(line)
        try:
            method = getattr(client, request.pop("op"), None)
            if method is None:
                raise Unsupported
            answer = {"ok": True, **(method(**request) or {})}
        except Unsupported:
            answer = {"ok": False, "unsupported": True}
        except Exception as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def load(path):
    with open(path) as file:
        for line in file:
            record = json.loads(line)
            record["k"] = decode(record["k"])
            record["v"] = decode(record["v"])
            record["h"] = [(key, decode(value)) for key, value in record["h"]]
            yield record


def line(*fields):
    return json.dumps(described(*fields)) + "\n"


def described(partition, offset, timestamp, key, value, headers):
    headers = [[name, encode(value)] for name, value in headers or ()]
    return {"p": partition, "o": offset, "t": timestamp, "k": encode(key), "v": encode(value), "h": headers}


def decode(text):
    return None if text is None else base64.b64decode(text)


def encode(data):
    return None if data is None else base64.b64encode(data).decode()
