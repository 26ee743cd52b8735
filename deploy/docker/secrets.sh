#!/bin/sh
# Makes the secrets of the regions named (all three without arguments) in deploy/docker/secrets/. What is there already
# is left alone: a lost region key is lost data. Run as root, or chown the files to 65532 yourself.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)/secrets
hex() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
[ $# -gt 0 ] || set -- singapore frankfurt virginia
for region in "$@"; do
    folder="$here/$region"
    mkdir -p "$folder"
    chmod 0711 "$here" "$folder"
    [ -e "$folder/region-key" ] || hex > "$folder/region-key"
    [ -e "$folder/grafana-password" ] || hex > "$folder/grafana-password"
    if ! [ -e "$folder/redis-password" ]; then
        hex > "$folder/redis-password"
        # The router's user may publish, subscribe and keep its registry, and nothing else; nobody else may anything.
        hash=$(sha256sum "$folder/redis-password" | cut -d ' ' -f 1)
        {
            echo "user default off"
            echo "user bulkhead on #$hash ~bh:* &bh:* -@all +ping +hello +auth +info +get +set +publish +subscribe +unsubscribe +spublish +ssubscribe +sunsubscribe +evalsha +script|load +time +hexists +hlen +hgetall +hset +hdel +pttl +pexpire +cluster|slots"
        } > "$folder/redis-acl"
    fi
    chown -R 65532:65532 "$folder" 2>/dev/null || echo "not root: chown -R 65532:65532 $folder"
done
