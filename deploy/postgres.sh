#!/bin/sh
# PostgreSQL of `make team`; its folder and databases are made at the first start.
set -eu
bin=$(dirname "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
data=.team/postgres as=
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses root; Debian's package makes this user
    as='setpriv --reuid=postgres --regid=postgres --clear-groups'
fi
if [ ! -e $data ]; then
    umask 077
    rm -rf $data.new
    mkdir $data.new
    printf '%s' "$PGPASSWORD" >.team/password
    [ -z "$as" ] || chown postgres: $data.new .team/password
    $as "$bin/initdb" -D $data.new -U "$PGUSER" -A scram-sha-256 --pwfile=.team/password -E UTF8
    rm .team/password
    $as "$bin/postgres" --single -D $data.new postgres <deploy/databases.sql
    mv $data.new $data
fi
$as "$bin/postgres" -D $data -p "$PGPORT" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= &
trap 'kill -INT $!' TERM # the fast shutdown, which does not wait for clients
wait $! || wait $!
