#!/bin/bash
# The frame of a job: banner, sync before it, clean-up after it, and the secrets that it is given.

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

# ldi_secret NAME: prints a secret that the job was given (secrets = ["NAME"]); it can be read once.
# psk=$(ldi_secret wifi_psk) || exit 1
# It comes through a pipe and never stands in the environment or in arguments: keep it so.
ldi_secret() {
  local _name _descriptor _secret
  case ${1:-} in
    '' | *[!A-Za-z0-9_]*)
      echo "ldi_secret: \"${1:-}\" is not the name of a secret; it has letters, digits and _" >&2
      return 2
      ;;
  esac
  _name=LDI_SECRET_$(printf '%s' "$1" | tr '[:lower:]' '[:upper:]')_FD
  # Not ${!_name}: a name that is formed at run time would reach every module.
  _descriptor=$(printenv "$_name") || _descriptor=''
  case $_descriptor in
    '' | *[!0-9]*)
      echo "ldi_secret: the job was not given $1; name it in its secrets = [\"$1\"]" >&2
      return 1
      ;;
  esac
  { _secret=$(head -c 32768 <&"$_descriptor") || _secret=''; } 2>/dev/null
  if [ -z "$_secret" ]; then
    echo "ldi_secret: $1 was read before; keep it in a variable" >&2
    return 1
  fi
  printf '%s\n' "$_secret"
}
