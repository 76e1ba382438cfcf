# Sourced by ../../dev: messages, processes, ports and locks. Nothing here knows PostgreSQL, NATS or Redis.
# shellcheck shell=bash

CHILD=   # the process that `spawn` started last, leader of a session of its own
STARTED=() # servers that end with this script, as "DIRECTORY NAME", oldest first
PASSING=   # a directory of servers whose data goes with this script

say() { printf 'dev: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# Writes standard input to a file that only its owner reads.
private_file() (
  umask 077
  cat >"$1.new"
  mv -f -- "$1.new" "$1"
)

# Whether a process runs; one that ended and waits to be reaped does not.
is_alive() { [[ -r /proc/$1/status ]] && ! grep -q '^State:[[:space:]]*[ZX]' "/proc/$1/status" 2>/dev/null; }

port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# .dev/ holds secrets and data of one user; two users would lock each other out of it.
own_directory() {
  [[ ! -e $DEV || -O $DEV ]] || die "$DEV belongs to $(stat -c %U "$DEV"): run ./dev as that user, or remove it"
  mkdir -p -- "$DEV"
}

# Holds a lock until this script ends, or dies with the given message: only_one NAME MESSAGE.
only_one() {
  own_directory
  exec 9>"$DEV/$1.lock"
  flock -n 9 || die "$2"
}

# Starts a program in a session of its own, so that Ctrl-C reaches this script alone, which then ends things in order.
# Should this script be killed outright, the kernel ends the program.
spawn() {
  setsid setpriv --pdeathsig TERM -- "$@" 9>&- &
  CHILD=$!
}

# Waits in a way that a signal interrupts at once, unlike a command in the foreground.
wait_for_child() {
  local status=0
  wait "$CHILD" || status=$?
  CHILD=
  return "$status"
}

attend() {
  spawn "$@"
  wait_for_child
}

stop_at_exit() {
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  trap clean_up EXIT
}

clean_up() {
  local status=$? i
  trap '' INT TERM HUP
  if [[ -n $CHILD ]]; then
    kill -TERM -- "-$CHILD" 2>/dev/null || true
    wait_until_gone "$CHILD" 40 || say "process $CHILD did not stop in time and is killed"
    kill -KILL -- "-$CHILD" 2>/dev/null || true
  fi
  for ((i = ${#STARTED[@]} - 1; i >= 0; i--)); do
    stop_server "${STARTED[i]% *}" "${STARTED[i]##* }" || true
  done
  [[ -z $PASSING ]] || wipe "$PASSING"
  exit "$status"
}

# Whether a process ended within so many seconds.
wait_until_gone() {
  local deadline=$((SECONDS + $2))
  while is_alive "$1"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}
