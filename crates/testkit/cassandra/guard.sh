# Runs a database node and ends it, by SIGKILL, when the test says so or is itself gone: standard input is a pipe whose
# other end only the test holds. Arguments: the node's folder, then its command.
folder=$1
shift
# An interrupt at the terminal comes here too and must not leave the node behind.
trap "" INT
"$@" </dev/null >>"$folder/log" 2>&1 &
node=$!
echo "$node" >"$folder/pid"
word=
read -r word
kill -9 "$node" 2>/dev/null
wait "$node" 2>/dev/null
# "keep" for a node that is started again; at the end of the input nobody will.
[ "$word" = keep ] || rm -rf "$folder"
