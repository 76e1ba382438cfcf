# Sourced by ../../dev: private PostgreSQL, NATS and Redis servers.
#
# A set of them lives in a directory (.dev, .dev/test, …): postgres/ nats/ redis/ are their data, run/ their process ids and
# ports, log/ what they say, and `password` the one secret that all three ask for. They listen on 127.0.0.1 only.
# shellcheck shell=bash

SET=       # the directory of the set that is being started
DURABLE=   # empty when a crash of the machine may lose its data
WITH_ME=   # not empty when its servers end with this script
EXPORTS=() # how to reach it, as NAME=value
AS=()      # what a server's command begins with to run as another user

# Starts the servers whose addresses are not given, and exports the addresses: use_servers DIRECTORY KIND [--with-me].
#   kept          data stays for the next time           fresh         starts with no data
#   scratch       no data, does not wait for the disk    kept-scratch  stays, but does not wait for the disk
use_servers() {
  local kind=$2 test=''
  SET=$1 DURABLE=yes WITH_ME=${3-} EXPORTS=()
  [[ $kind != *scratch ]] || DURABLE='' test=TEST_
  mkdir -p "$SET/run" "$SET/log"
  exec 8>"$SET/run/start.lock"
  flock -w 120 8 || die "another ./dev has been starting these servers for two minutes"
  if [[ $kind != kept* ]]; then
    stop_servers "$SET"
    wipe "$SET"
    # shellcheck disable=SC2034 # clean_up reads it.
    PASSING=$SET
  fi
  [[ -s $SET/password ]] || printf 'p%s\n' "$(random_hex)" | private_file "$SET/password"
  PASSWORD=$(<"$SET/password")

  given "${test}DATABASE_URL" || start_postgres "$test"
  given "${test}NATS_URL" || start_nats "$test"
  given "${test}REDIS_URL" || start_redis "$test"
  exec 8>&-
}

# Whether somebody gave the address of a server that is not ours, which is known by its password. As for the server, a
# file may hold it.
given() {
  local file=$1_FILE
  if [[ -z ${!1-} && -n ${!file-} ]]; then
    export "$1=$(<"${!file}")"
    unset "$file"
  fi
  [[ -n ${!1-} && ${!1} != *"$PASSWORD"* ]] || return 1
  say "using the server that $1 names"
}

start_postgres() {
  local user data bin port how=()
  if ! is_running postgres || [[ ! -e $SET/run/postgres.ready ]]; then
    stop_server "$SET" postgres
    user=$(postgres_user)
    data=$(postgres_data "$user")
    # PostgreSQL refuses to be run by root. Root therefore takes another user's rights for it.
    ((EUID != 0)) || AS=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups --)
    [[ -e $SET/run/postgres.ready ]] || initialise_postgres "$user" "$data"
    bin=$(postgres_bin "$(<"$SET/run/postgres.version")") || die "PostgreSQL $(<"$SET/run/postgres.version"), which made $data, is gone"
    [[ -n $DURABLE ]] || how=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
    launch postgres "$data" 'database system is ready to accept connections' \
      "$bin/postgres" -D "$data" -p PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
      -c max_connections=300 "${how[@]}"
    AS=()
    [[ -e $SET/run/postgres.ready ]] || make_logins "$bin"
  fi
  port=$(<"$SET/run/postgres.port")
  if [[ $1 == TEST_ ]]; then
    give TEST_DATABASE_URL "postgres://postgres:$PASSWORD@127.0.0.1:$port/postgres"
  else
    give DATABASE_URL "postgres://allegiant:$PASSWORD@127.0.0.1:$port/allegiant"
    give MIGRATION_DATABASE_URL "postgres://postgres:$PASSWORD@127.0.0.1:$port/allegiant"
  fi
}

postgres_user() {
  if ((EUID != 0)); then
    id -un
  else
    id -un postgres 2>/dev/null || echo nobody
  fi
}

# Makes PostgreSQL's data directory and prints its path. Where its user cannot reach this checkout (below a home that is
# closed, say), the data lies in /var/lib instead, under a name that belongs to this path, and postgres/ points there.
postgres_data() {
  local user=$1 data=$SET/postgres outside
  if ((EUID != 0)); then
    mkdir -p "$data" && chmod 700 "$data"
  elif setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups -- test -x "$SET" && [[ ! -L $data ]]; then
    install -d -m 700 -o "$user" "$data"
  else
    outside=$(outside_of "$SET")
    install -d -m 755 /var/lib/allegiant-dev
    install -d -m 700 -o "$user" "$outside"
    # A link that came along with a copy of the checkout points at the original's data.
    [[ $(readlink "$data") == "$outside" ]] || { rm -f -- "$SET/run/postgres.ready" "$data" && ln -s "$outside" "$data"; }
    data=$outside
  fi
  printf '%s\n' "$data"
}

outside_of() { printf '/var/lib/allegiant-dev/%s\n' "$(printf '%s' "$1" | sha256sum | cut -c 1-16)"; }

# Makes an empty cluster. What an earlier, interrupted try left is removed first.
initialise_postgres() {
  local user=$1 data=$2 bin secret how=(-A scram-sha-256)
  bin=$(postgres_bin '*') || die "PostgreSQL 15 or newer is needed"
  find "$data" -mindepth 1 -delete
  secret=$(mktemp)
  printf '%s\n' "$PASSWORD" >"$secret"
  [[ $EUID != 0 ]] || chown "$user" "$secret"
  # The thousands of hashes that make scram safe take a test, which is not optimised, longer than what it tests.
  [[ -n $DURABLE ]] || how=(-A md5 --no-sync)
  env --chdir=/ "${AS[@]}" "$bin/initdb" -D "$data" -U postgres --pwfile="$secret" -E UTF8 \
    --locale=C.UTF-8 "${how[@]}" >"$SET/log/initdb.log" 2>&1 || {
    rm -f -- "$secret"
    tail -n 5 "$SET/log/initdb.log" >&2
    die "the PostgreSQL cluster could not be made; $SET/log/initdb.log says why"
  }
  rm -f -- "$secret"
  "$bin/initdb" --version | grep -oE '[0-9]+' | head -n 1 >"$SET/run/postgres.version"
}

# Gives a new cluster its database and the server's login; tests make databases of their own as superuser.
make_logins() {
  local psql=("$1/psql" -X -q -h 127.0.0.1 -p "$(<"$SET/run/postgres.port")" -U postgres)
  if [[ -n $DURABLE ]]; then
    PGPASSWORD=$PASSWORD "${psql[@]}" -v "server_password=$PASSWORD" -d postgres -f "$ROOT/ops/postgres-logins.sql"
    PGPASSWORD=$PASSWORD "${psql[@]}" -d postgres -c 'CREATE DATABASE allegiant'
  fi
  : >"$SET/run/postgres.ready"
}

start_nats() {
  is_running nats || NATS_PASSWORD=$PASSWORD launch nats "$SET/nats" 'Server is ready' \
    "$(nats_binary)" --config "$ROOT/ops/nats.conf" --addr 127.0.0.1 --port PORT --store_dir "$SET/nats"
  give "$1NATS_URL" "nats://allegiant:$PASSWORD@127.0.0.1:$(<"$SET/run/nats.port")"
}

start_redis() {
  version_is_at_least 7 "$(redis-server --version | sed 's/.* v=//')" || die "Redis 7 or newer is needed"
  mkdir -p "$SET/redis"
  private_file "$SET/run/redis.conf" <<CONF
include "$ROOT/ops/redis.conf"
bind 127.0.0.1
requirepass $PASSWORD
dir "$SET/redis"
CONF
  is_running redis || launch redis "$SET/run/redis.conf" 'Ready to accept connections' \
    redis-server "$SET/run/redis.conf" --port PORT
  give "$1REDIS_URL" "redis://default:$PASSWORD@127.0.0.1:$(<"$SET/run/redis.port")"
}

give() {
  export "$1=$2"
  unset "$1_FILE" # The server refuses to be told twice.
  EXPORTS+=("$1=$2")
}

print_exports() {
  local given
  [[ -z ${MASTER_KEY_FILE-} || $1 != "$DEV" ]] || EXPORTS+=("MASTER_KEY_FILE=$MASTER_KEY_FILE")
  [[ -z ${SIGNING_KEY_FILE-} || $1 != "$DEV" ]] || EXPORTS+=("SIGNING_KEY_FILE=$SIGNING_KEY_FILE")
  [[ -z ${ERASURE_LIST_FILE-} || $1 != "$DEV" ]] || EXPORTS+=("ERASURE_LIST_FILE=$ERASURE_LIST_FILE")
  for given in "${EXPORTS[@]}"; do printf 'export %s=%q\n' "${given%%=*}" "${given#*=}"; done
}

# Starts a server on a free port and waits until its log says that it is ready: launch NAME MARK READY COMMAND…
# PORT in the command becomes the port. MARK is an argument that no other process has on its command line.
launch() {
  local name=$1 mark=$2 ready=$3 log=$SET/log/$1.log attempt port pid deadline before=(env --chdir=/ setsid "${AS[@]}")
  shift 3
  # The kernel passes the end of this script on, should it be killed: PostgreSQL would wait for its clients on TERM.
  [[ -z $WITH_ME ]] || before+=(setpriv --pdeathsig "$(stop_signal "$name")" --)
  for attempt in 1 2 3; do
    port=$(free_port "$name")
    : >"$log" # Now, not when the server comes to it: the last time's log says that it is ready.
    LC_ALL=C.UTF-8 "${before[@]}" "${@/#PORT/$port}" </dev/null >>"$log" 2>&1 8>&- 9>&- &
    pid=$!
    printf '%s\n%s\n' "$pid" "$mark" >"$SET/run/$name.pid"
    [[ -z $WITH_ME ]] || STARTED+=("$SET $name")
    deadline=$((SECONDS + 60))
    while is_alive "$pid" && ((SECONDS < deadline)); do
      ! grep -q "$ready" "$log" || return 0
      sleep 0.02
    done
    stop_server "$SET" "$name"
    rm -f -- "$SET/run/$name.port" # Somebody else may have taken it in the meantime.
  done
  tail -n 5 "$log" >&2
  die "$name did not start; $log says why"
}

# The port of the last time, so that an address stays valid, or else one from below those that the kernel gives out.
free_port() {
  local port file=$SET/run/$1.port attempt
  for attempt in {0..99}; do
    port=$((20000 + RANDOM % 12000))
    ((attempt > 0)) || [[ ! -s $file ]] || port=$(<"$file")
    port_is_open "$port" || { printf '%s\n' "$port" | tee "$file" && return; }
  done
  die "no free port found on 127.0.0.1"
}

# Whether the server of the set SET runs. A process id alone proves nothing: it may be another program's by now.
is_running() { is_ours "$SET" "$1"; }

is_ours() {
  local pid mark
  { read -r pid && read -r mark; } 2>/dev/null <"$1/run/$2.pid" || return 1
  # In a copy of a checkout, what the files name are the original's servers.
  [[ $mark == "$1"/* || $mark == "$(outside_of "$1")" ]] || return 1
  is_alive "$pid" && grep -qzxF -- "$mark" "/proc/$pid/cmdline" 2>/dev/null
}

# The order to end at once and in order; PostgreSQL takes TERM for "when the last client has gone".
stop_signal() { if [[ $1 == postgres ]]; then echo INT; else echo TERM; fi; }

# Stops one server of a set, if it is ours: stop_server DIRECTORY NAME.
stop_server() {
  local pid
  if is_ours "$1" "$2"; then
    read -r pid <"$1/run/$2.pid"
    kill "-$(stop_signal "$2")" "$pid" 2>/dev/null || true
    wait_until_gone "$pid" 30 || { say "$2 did not stop in time and is killed" && kill -KILL "$pid"; }
  fi
  rm -f -- "$1/run/$2.pid"
}

stop_servers() {
  local name
  for name in redis nats postgres; do stop_server "$1" "$name"; done
}

# Removes a set's data, never its logs: after a failure they are wanted.
wipe() {
  [[ ! -L $1/postgres ]] || rm -rf -- "$(outside_of "$1")"
  rm -rf -- "$1/postgres" "$1/nats" "$1/redis" "$1/run/postgres.ready" "$1/password" "$1/master.key" "$1/erasures.ndjson"
}

random_hex() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
