#!/bin/bash
# The Jamf agent, where one is installed (macOS). Nothing of it is changed here.

# jamf_recon [ARG]…: sends this Mac's inventory to Jamf: `jamf recon`.
jamf_recon() { _jamf recon "$@"; }

# jamf_policy [TRIGGER]: runs the Jamf policies of a trigger, else those that are due.
jamf_policy() {
  if [ $# -gt 0 ]; then
    set -- -event "$1"
  fi
  _jamf policy "$@"
}

_jamf() {
  local _jamf=/usr/local/bin/jamf
  # A job's PATH may lack /usr/local/bin.
  ! command -v jamf >/dev/null 2>&1 || _jamf=jamf
  if [ "$_jamf" != jamf ] && [ ! -x "$_jamf" ]; then
    echo "jamf is not on this machine; give the job os=macos, and enrol the Mac" >&2
    return 1
  fi
  noop "$_jamf" "$@"
}
