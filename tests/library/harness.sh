# shellcheck shell=bash disable=SC2016,SC2034 # stubs are literal text; tests use the variables
# What the bash tests share. A test file sources this, calls check_* and ends with finish_tests.
# TREE is the tree under test. Everything is written below $work, removed at the end.

set -euo pipefail

TREE=${TREE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/library.XXXXXX")
checks=0
failures=0
server=

cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || :
  rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$work/bin" "$work/lib/conf"
PATH=$work/bin:$PATH
# The modules under test read their settings here.
LDI_LIB=$work/lib
export LDI_LIB PATH

for module in "$TREE"/modules/*.sh; do
  # shellcheck source=/dev/null
  . "$module"
done
unset module

check_equal() { # WHAT EXPECTED ACTUAL
  checks=$((checks + 1))
  [ "$2" = "$3" ] && return 0
  failures=$((failures + 1))
  printf 'FAILED: %s\n  expected: %q\n  actual:   %q\n' "$1" "$2" "$3" >&2
}

check_match() { # WHAT PATTERN ACTUAL
  checks=$((checks + 1))
  # shellcheck disable=SC2053 # a pattern
  [[ $3 == $2 ]] && return 0
  failures=$((failures + 1))
  printf 'FAILED: %s\n  pattern: %s\n  actual:  %q\n' "$1" "$2" "$3" >&2
}

check_status() { # WHAT EXPECTED COMMAND [ARG]…: output goes to $work/out
  local what=$1 expected=$2 status=0
  shift 2
  "$@" >"$work/out" 2>&1 || status=$?
  check_equal "$what (status; it said: $(cat "$work/out"))" "$expected" "$status"
}

output() { cat "$work/out"; }

# stub NAME BODY: a command of that name, first on the PATH.
stub() {
  printf '#!/bin/bash\n%s\n' "$2" >"$work/bin/$1"
  chmod 755 "$work/bin/$1"
}

# pretend_macos: uname says Darwin.
pretend_macos() { stub uname 'case ${1:-} in -s) echo Darwin ;; *) exec /usr/bin/env -u PATH /bin/uname "$@" ;; esac'; }

# start_server: a loopback web server; sets port. It ends by itself after 60 s.
start_server() {
  python3 "$(dirname "${BASH_SOURCE[0]}")/loopback.py" >"$work/port" &
  server=$!
  local tries=0
  until [ -s "$work/port" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "the loopback server did not start" >&2 && exit 1; }
    sleep 0.1
  done
  port=$(cat "$work/port")
}

finish_tests() {
  echo "${0##*/}: $checks checks, $failures failed"
  [ "$failures" -eq 0 ]
}
