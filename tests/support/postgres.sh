#!/bin/sh
# Runs a private PostgreSQL server for as long as tests use it, then removes it. Started by postgres.rs.
#
# usage: postgres.sh DATA LOCKS SERVER…
#   DATA    the cluster's folder, removed at the end
#   LOCKS   the folder of the two lock files
#   SERVER  the server's command line
#
# Every test process holds LOCKS/users shared while it lives. The kernel gives the lock back however the process ends,
# so nothing is left behind after a panic or a kill. LOCKS/gate is held by whoever starts or stops the server.
data=$1 locks=$2
shift 2
"$@" >"$data/log" 2>&1 &
server=$!
exec 8>>"$locks/gate" 9>>"$locks/users"
while kill -0 "$server"; do
    flock 9 && flock -u 9
    # Nobody uses it now. The next test of the same run may be about to start.
    sleep 3
    flock 8
    flock -n 9 && break
    flock -u 8
done
rm -f "$locks/address"
kill -INT "$server"
wait "$server"
rm -rf "$data"
