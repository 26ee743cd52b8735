#!/bin/sh
# Prints the chat username and the token of a user: sample.sh USER
# TOKEN_SERVER is the address, http://127.0.0.1:7180 by default. At a Unix socket: curl --unix-socket FILE http://localhost/…
set -eu
answer=$(printf '{"user":"%s"}' "$1" | curl --silent --show-error --fail-with-body --max-time 20 \
  --header 'content-type: application/json' --data-binary @- "${TOKEN_SERVER:-http://127.0.0.1:7180}/v1/tokens/user")
field() { printf '%s' "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
echo "$(field username) $(field token)"
