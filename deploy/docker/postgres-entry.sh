#!/bin/sh
# Starts PostgreSQL under DiffKeeper, also after the container was killed. Both lock files of the server that was killed
# name it by a process number, and in a new container that number is somebody else's: a thread of DiffKeeper's, as a rule.
# PostgreSQL takes that for another server and does not start. The files are removed here, which is safe: DiffKeeper holds
# the state directory, so no other container has a server on it, and a server in this one (or backends that have outlived
# theirs, before a restart) is looked for first.
#
#   PGDATA   the data directory         (default /var/lib/postgresql/data)
#   PGHOST   directory of the sockets   (default /var/run/postgresql)
set -e
running=
for name in /proc/[0-9]*/comm; do
  read -r comm 2>/dev/null <"$name" || continue
  [ "$comm" != postgres ] || running=yes
done
if [ -z "$running" ]; then
  rm -f "${PGDATA:-/var/lib/postgresql/data}/postmaster.pid" "${PGHOST:-/var/run/postgresql}"/.s.PGSQL.*
fi
exec docker-entrypoint.sh "$@"
