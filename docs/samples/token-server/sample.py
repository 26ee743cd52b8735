"""Prints the chat username and the token of a user: python3 sample.py USER"""

import json
import os
import sys
import urllib.request

SERVER = os.environ.get("TOKEN_SERVER", "http://127.0.0.1:7180")


def token_of(user: str) -> dict:
    request = urllib.request.Request(
        f"{SERVER}/v1/tokens/user",
        data=json.dumps({"user": user}).encode(),
        headers={"Content-Type": "application/json"},
    )
    # A refusal raises urllib.error.HTTPError, whose body is JSON with `error` and `error_description`.
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


answer = token_of(sys.argv[1])
print(answer["username"], answer["token"])
