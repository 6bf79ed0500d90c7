#!/bin/bash
# Whether this machine is on the corporate network or on the internet, and waiting for it.
# What that means is said by conf/network.conf: a list of probes, one answer is enough.
# Only scripts pass the forced result:
# shellcheck disable=SC2119,SC2120

# check_corp [RESULT]: sets the variable check_corp to "True" or "False"; 0 if True, else 1.
# RESULT is taken instead of looking, for tests. No probe configured: False.
check_corp() {
  check_corp=${1:-$(_network_state corp)}
  [ "$check_corp" = True ]
}

# check_internet [RESULT]: as check_corp. No probe configured: True with a default route.
check_internet() {
  check_internet=${1:-$(_network_state internet)}
  [ "$check_internet" = True ]
}

# wait_for_corp [FUNCTION-OR-SCRIPT [ARG]…]: waits until check_corp is True, then runs what it
# was given, arguments exact, and returns its status. Looks every LDI_WAIT_INTERVAL seconds
# (300), gives up after LDI_WAIT_DEADLINE (14400, 4 h): a message, 1, and nothing is run.
wait_for_corp() { _wait_for_network corp "$@"; }

# wait_for_internet [FUNCTION-OR-SCRIPT [ARG]…]: as wait_for_corp, with check_internet.
wait_for_internet() { _wait_for_network internet "$@"; }

# probe_network TARGET [SECONDS]: 0 if TARGET answers within SECONDS (5). TARGET is
# HOST:PORT (a TCP connection) or an http(s) URL (an answer of 200 to 299, not redirected, so
# that a hotspot's log-in page does not count).
probe_network() {
  local _target=${1:-} _limit=${2:-5} _host _code
  case $_target in
    http://?* | https://?*)
      if command -v curl >/dev/null 2>&1; then
        _code=$(curl -q -s -o /dev/null --max-time "$_limit" -w '%{http_code}' -- "$_target" 2>/dev/null) || return 1
        case $_code in 2??) return 0 ;; *) return 1 ;; esac
      elif command -v wget >/dev/null 2>&1; then
        wget -q --tries=1 --timeout="$_limit" --max-redirect=0 -O /dev/null -- "$_target" 2>/dev/null || return 1
        return 0
      fi
      echo "cannot probe $_target: neither curl nor wget is here; install one or probe HOST:PORT" >&2
      return 1
      ;;
    ?*:*[0-9])
      _host=${_target%:*}
      _host=${_host#[}
      _host=${_host%]}
      run_limited "$_limit" _connect_tcp "$_host" "${_target##*:}" 2>/dev/null
      ;;
    *)
      echo "cannot probe \"$_target\": a probe is HOST:PORT or an http(s) URL; correct conf/network.conf" >&2
      return 1
      ;;
  esac
}

# Opened by bash itself, in run_limited's background shell: nothing is sent.
_connect_tcp() {
  case $2 in '' | *[!0-9]*) return 1 ;; esac
  exec 3<>"/dev/tcp/$1/$2"
}

_network_state() {
  local _probes _probe
  _probes=$(conf_value network "$1")
  if [ -z "$_probes" ] && [ "$1" = internet ]; then
    if _has_default_route; then echo True; else echo False; fi
    return 0
  fi
  while IFS= read -r _probe; do
    [ -n "$_probe" ] || continue
    if probe_network "$_probe" "${LDI_PROBE_SECONDS:-5}"; then
      echo True
      return 0
    fi
  done <<<"${_probes//[[:blank:]]/$'\n'}"
  echo False
}

_has_default_route() {
  local _interface _destination _rest
  if is_macos; then
    route -n get default >/dev/null 2>&1 || route -n get -inet6 default >/dev/null 2>&1
    return
  fi
  while read -r _interface _destination _rest; do
    [ "$_destination" = 00000000 ] && return 0
  done </proc/net/route
  [ -r /proc/net/ipv6_route ] || return 1
  while read -r _destination _rest; do
    # ::/0 through a real interface; the kernel keeps one through lo that means "none".
    case "$_destination $_rest" in
      00000000000000000000000000000000\ 00\ *[[:blank:]]lo) ;;
      00000000000000000000000000000000\ 00\ *) return 0 ;;
    esac
  done </proc/net/ipv6_route
  return 1
}

# Written out: a command name that is formed at run time would reach every module.
_check_network() {
  case $1 in
    corp) check_corp ;;
    internet) check_internet ;;
  esac
}

_wait_for_network() {
  local _kind=$1 _began=$SECONDS _interval=${LDI_WAIT_INTERVAL:-300} _deadline=${LDI_WAIT_DEADLINE:-14400}
  shift
  until _check_network "$_kind"; do
    if [ $((SECONDS - _began)) -ge "$_deadline" ]; then
      echo "gave up waiting for $_kind after $_deadline seconds${1:+; $1 was not run}" >&2
      return 1
    fi
    sleep "$_interval"
  done
  [ $# -gt 0 ] || return 0
  case $(type -t -- "$1" || :) in
    function) "$@" ;;
    *)
      if [ -f "$1" ] && [ -x "$1" ]; then
        case $1 in
          */*) "$@" ;;
          *) "./$1" "${@:2}" ;;
        esac
      elif [ -f "$1" ]; then
        bash -- "$@"
      else
        echo "wait_for_$_kind: $1 is neither a function nor a script; nothing was run" >&2
        return 127
      fi
      ;;
  esac
}
