#!/bin/bash
# Messages with a level: to the system log (journal, syslog, unified log) under the job's name, and
# to stderr, so that they are part of the run's output and stdout stays data.
# The output of a run hides the job's secrets, the system log does not: never log one.

# log_error MESSAGE…: logs what failed.
log_error() { _log err error "$@"; }

# log_warning MESSAGE…: logs what works for now and needs somebody's attention.
log_warning() { _log warning warning "$@"; }

# log_info MESSAGE…: logs what was done.
log_info() { _log info info "$@"; }

# log_debug MESSAGE…: logs what helps to find a fault; on stderr only with LDI_DEBUG=1.
log_debug() { _log debug debug "$@"; }

_log() {
  local _priority=$1 _level=$2 IFS=' '
  shift 2
  if [ "$_level" != debug ] || [ "${LDI_DEBUG:-}" = 1 ]; then
    printf '%s: %s\n' "$_level" "$*" >&2
  fi
  if command -v logger >/dev/null 2>&1; then
    # Without a system log (a container) the message is in the output all the same.
    logger -t "${LDI_JOB:-${0##*/}}" -p "user.$_priority" -- "$*" 2>/dev/null || :
  fi
}
