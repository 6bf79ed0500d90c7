#!/bin/bash
# A word to the person in front of the machine.

# ldi_notify TITLE MESSAGE: shows a notification to the person at the console.
# By notify-send on that person's session bus, by osascript on macOS; needs root or that person's
# account. A message and 1 when nobody is there or it cannot be shown.
ldi_notify() {
  local _user _uid _title=${1:-}
  if [ $# -ne 2 ] || [ -z "$_title" ]; then
    echo "ldi_notify: call it as ldi_notify TITLE MESSAGE" >&2
    return 2
  fi
  if ! _user=$(ldi_fact console_user); then
    echo "ldi_notify: nobody is at the console; \"$_title\" was not shown" >&2
    return 1
  fi
  _uid=$(id -u -- "$_user" 2>/dev/null) || _uid=''
  if is_macos; then
    set -- osascript -e 'on run argv' -e 'display notification (item 2 of argv) with title (item 1 of argv)' \
      -e 'end run' -- "$1" "$2"
    [ "$(id -u)" = "$_uid" ] || set -- launchctl asuser "$_uid" sudo -n -u "$_user" -- "$@"
  else
    set -- env "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$_uid/bus" notify-send -- "$1" "$2"
    [ "$(id -u)" = "$_uid" ] || set -- runuser -u "$_user" -- "$@"
  fi
  if [ -z "$_uid" ] || ! noop run_limited 20 "$@"; then
    echo "ldi_notify: \"$_title\" could not be shown to $_user" >&2
    return 1
  fi
}
