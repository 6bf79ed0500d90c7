#!/bin/bash
# Running a command or a function: not at all (a dry run), again, alone, or for a limited time.

# noop COMMAND [ARG]…: runs it; under LDI_NOOP=1 only says "would run: …" on stderr, status 0.
# The shell redirects before noop is asked: `noop x >file` empties the file in a dry run too.
noop() {
  if [ "${LDI_NOOP:-}" = 1 ]; then
    { printf 'would run:' && printf ' %q' "$@" && echo; } >&2
    return 0
  fi
  "$@"
}

# would WHAT…: under LDI_NOOP=1 says "would WHAT" on stderr, status 0; else nothing, status 1.
# For functions that change something: would "remove $file" && return 0
would() {
  local IFS=' '
  [ "${LDI_NOOP:-}" = 1 ] || return 1
  echo "would $*" >&2
}

# retry TIMES SECONDS COMMAND [ARG]…: runs it until it succeeds, at most TIMES times.
# Waits SECONDS after the first failure and twice as long after each further one, at most 300.
# The status is that of the last try; `set -e` does not act inside of COMMAND.
retry() {
  local _times=${1:-} _pause=${2:-} _try=1 _status
  case "$_times/$_pause" in
    /* | */ | *[!0-9/]*) _times='' ;;
  esac
  if [ $# -lt 3 ] || [ -z "$_times" ]; then
    echo "retry: call it as retry TIMES SECONDS COMMAND [ARG]…, with whole numbers" >&2
    return 2
  fi
  shift 2
  _pause=$((10#$_pause))
  while :; do
    _status=0
    "$@" || _status=$?
    [ "$_status" -ne 0 ] || return 0
    if [ "$_try" -ge "$_times" ]; then
      echo "retry: $1 failed, the last of $_try tries with status $_status" >&2
      return "$_status"
    fi
    [ "$_pause" -le 300 ] || _pause=300
    echo "retry: $1 ended with status $_status; again in $_pause s" >&2
    sleep "$_pause"
    _try=$((_try + 1)) _pause=$((_pause * 2))
  done
}

# with_lock NAME COMMAND [ARG]…: runs it in a subshell while no other with_lock NAME runs here.
# Waits for the other one, at most LDI_LOCK_WAIT seconds (60); then a message, status 75, and
# nothing is run. Locks are the kernel's, so none stays behind, whatever ends the holder. The same
# name in Python (shell_tools.with_lock) is the same lock; each account has locks of its own.
with_lock() {
  local _name=${1:-} _folder=${LDI_LOCK_DIR:-} _wait=${LDI_LOCK_WAIT:-60}
  case $_name in '' | .* | *[!A-Za-z0-9._-]*) set -- ;; esac
  if [ $# -lt 2 ]; then
    echo "with_lock: call it as with_lock NAME COMMAND [ARG]…; a name has letters, digits and ._-" >&2
    return 2
  fi
  shift
  if [ -z "$_folder" ]; then
    _folder=${HOME:-}/.cache/ldi-locks
    [ "$(id -u)" -ne 0 ] || _folder=/var/run/ldi-locks
  fi
  # What others own could lead through a link to any file.
  if ! { (umask 077 && mkdir -p "$_folder") && [ -O "$_folder" ] && [ ! -L "$_folder" ]; }; then
    echo "with_lock: $_folder is not a folder of this account's own; nothing was run" >&2
    return 1
  fi
  (
    exec 109>>"$_folder/$_name.lock" || exit 1
    if ! _take_lock "$_wait"; then
      echo "with_lock: $_name is held by another process; after $_wait s $1 was not run" >&2
      exit 75
    fi
    # The lock ends with this shell, not with what the command leaves running.
    "$@" 109>&-
  )
}

# Locks descriptor 109 (low ones may carry secrets) within $1 seconds. macOS has no flock(1), but perl.
_take_lock() {
  if command -v flock >/dev/null 2>&1; then
    flock -w "$1" 109
    return
  fi
  # shellcheck disable=SC2016 # perl's variables
  perl -e 'use Fcntl ":flock"; open(my $f, ">>&=", 109) or exit 2;
    for (0 .. 10 * $ARGV[0]) { exit 0 if flock($f, LOCK_EX | LOCK_NB); select(undef, undef, undef, 0.1) }
    exit 1' "$1"
}

# run_limited SECONDS COMMAND [ARG]…: runs a command or function, at most SECONDS long.
# Its own status; 124 when it was stopped (TERM, one second later KILL). macOS has no timeout(1).
# The command runs in the background, so its stdin is empty. Only the command itself is
# stopped, not what it left running.
run_limited() {
  local _limit=${1:-} _pid _began=$SECONDS _pause=0.02 _status=0
  case $_limit in '' | *[!0-9]*) set -- ;; esac
  if [ $# -lt 2 ]; then
    echo "run_limited: call it as run_limited SECONDS COMMAND [ARG]…, with whole seconds" >&2
    return 2
  fi
  shift
  "$@" </dev/null &
  _pid=$!
  while kill -0 "$_pid" 2>/dev/null; do
    if [ $((SECONDS - _began)) -ge "$_limit" ]; then
      kill -TERM "$_pid" 2>/dev/null || :
      sleep 0.1
      if kill -0 "$_pid" 2>/dev/null; then
        sleep 1
        kill -KILL "$_pid" 2>/dev/null || :
      fi
      wait "$_pid" 2>/dev/null || :
      return 124
    fi
    sleep "$_pause"
    _pause=0.1
  done
  wait "$_pid" 2>/dev/null || _status=$?
  return "$_status"
}
