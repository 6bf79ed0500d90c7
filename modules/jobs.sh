#!/bin/bash
# The frame of a job: banner, sync before it, clean-up after it, and a limit in time.

# start: prints "NAME ran on MM-DD-YYYY HH:MM" and "Version $Version"; sets current_file_name.
start() {
  current_file_name=${0##*/}
  printf '%s ran on %s\nVersion %s\n' "$current_file_name" "$(date '+%m-%d-%Y %H:%M')" "${Version:-}"
}

# prep [exit]: brings the library up to date, then start. With "exit" a failed sync ends the
# script with 1; without, the script goes on with the last good release.
prep() {
  code_sync "${1:-}"
  start
}

# code_sync [exit]: ldi sync, unless a tier runs this script: then it was synced already.
code_sync() {
  local _status=0 _said
  [ -z "${LDI_RUN:-}" ] || return 0
  if ! command -v ldi >/dev/null 2>&1; then
    _status=127
    _said="ldi is not on the PATH; install it, or run this script from a tier"
  else
    _said=$(ldi sync 2>&1) || _status=$?
  fi
  [ "$_status" -ne 0 ] || return 0
  _said="the library was not synced (status $_status): $_said"
  echo "$_said" >&2
  if command -v logger >/dev/null 2>&1; then
    logger -t code_sync -- "$_said" || :
  fi
  if [ "${1:-}" = exit ]; then
    exit 1
  fi
  return 0
}

# finish: removes the script's own file in the log folder, if it made one. Always 0.
finish() {
  if [ -n "${logs:-}" ] && [ -f "$logs/${current_file_name:-${0##*/}}" ]; then
    rm -f "$logs/${current_file_name:-${0##*/}}" 2>/dev/null || :
  fi
  return 0
}

# run_limited SECONDS COMMAND [ARG]…: runs a command or function, at most SECONDS long.
# Its own status; 124 when it was stopped (TERM, one second later KILL). macOS has no timeout(1).
# The command runs in the background, so its stdin is empty. Only the command itself is
# stopped, not what it left running.
run_limited() {
  local _limit=$1 _pid _began=$SECONDS _pause=0.02 _status=0
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
