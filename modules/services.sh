#!/bin/bash
# Services: units of systemd, daemons of launchd (by label). What changes something needs root.

# service_status NAME: prints running, stopped, missing or unknown; status 0 if it is running.
service_status() {
  local _said _state=unknown
  _service_name "${1:-}" || return 2
  if is_macos; then
    if _said=$(launchctl print "system/$1" 2>/dev/null); then
      case $_said in *'state = running'*) _state=running ;; *) _state=stopped ;; esac
    elif [ -e "$(_service_folder)/$1.plist" ]; then
      _state=stopped
    else
      _state=missing
    fi
  else
    _said=$(systemctl show --property=LoadState,ActiveState -- "$1" 2>/dev/null) || _said=''
    case $_said in
      *LoadState=not-found*) _state=missing ;;
      *ActiveState=active* | *ActiveState=reloading*) _state=running ;;
      *ActiveState=*) _state=stopped ;;
    esac
  fi
  echo "$_state"
  [ "$_state" = running ]
}

# service_start NAME: starts a service; one that runs is left alone.
service_start() {
  _service_name "${1:-}" || return 2
  if ! is_macos; then
    _systemctl start "$1"
  elif launchctl print "system/$1" >/dev/null 2>&1; then
    noop launchctl kickstart "system/$1"
  else
    noop launchctl bootstrap system "$(_service_folder)/$1.plist"
  fi
}

# service_stop NAME: stops a service; one that does not run is left alone.
service_stop() {
  _service_name "${1:-}" || return 2
  if ! is_macos; then
    _systemctl stop "$1"
  elif launchctl print "system/$1" >/dev/null 2>&1; then
    noop launchctl bootout "system/$1"
  fi
}

# service_restart NAME: stops a service if it runs, and starts it.
service_restart() {
  _service_name "${1:-}" || return 2
  if ! is_macos; then
    _systemctl restart "$1"
  elif launchctl print "system/$1" >/dev/null 2>&1; then
    noop launchctl kickstart -k "system/$1"
  else
    service_start "$1"
  fi
}

# service_enable NAME: makes a service start with the machine. It is not started now.
service_enable() {
  _service_name "${1:-}" || return 2
  if is_macos; then noop launchctl enable "system/$1"; else _systemctl enable "$1"; fi
}

# service_disable NAME: keeps a service from starting with the machine. It is not stopped now.
service_disable() {
  _service_name "${1:-}" || return 2
  if is_macos; then noop launchctl disable "system/$1"; else _systemctl disable "$1"; fi
}

# service_install FILE: installs a unit file of systemd, or a property list of launchd.
# Under its own name in /etc/systemd/system or /Library/LaunchDaemons (LDI_UNIT_DIR), mode 0644, and
# the service manager reads it again; the same file: nothing happens. It is not started: on macOS a
# loaded daemon that changed is unloaded, so service_start takes the new one.
service_install() {
  local _file=${1:-} _name _target
  _name=${_file##*/}
  case $_name in
    *.service | *.socket | *.timer | *.path | *.mount | *.target | *.slice) is_macos && _name='' ;;
    *.plist) is_macos || _name='' ;;
    *) _name='' ;;
  esac
  if [ -z "$_name" ] || ! _service_name "$_name" || [ ! -f "$_file" ]; then
    echo "service_install: \"$_file\" is not a file that this machine's service manager takes" >&2
    return 2
  fi
  _target=$(_service_folder)/$_name
  # Also a unit of which somebody changed the mode: ensure_file mends that, and nothing need be read.
  if cmp -s "$_file" "$_target"; then
    ensure_file "$_target" "$_file" 644
    return
  fi
  ensure_file "$_target" "$_file" 644 || return 1
  if ! is_macos; then
    _systemctl daemon-reload
  else
    service_stop "${_name%.plist}"
  fi
}

_service_folder() {
  if is_macos; then echo "${LDI_UNIT_DIR:-/Library/LaunchDaemons}"; else echo "${LDI_UNIT_DIR:-/etc/systemd/system}"; fi
}

_service_name() {
  case $1 in
    '' | -* | *[!A-Za-z0-9@._:\\-]*)
      echo "\"$1\" is not the name of a service" >&2
      return 1
      ;;
  esac
}

_systemctl() {
  if ! command -v systemctl >/dev/null 2>&1; then
    echo "cannot $1 ${2:-units}: systemd is not on this machine" >&2
    return 1
  fi
  noop systemctl "$1" ${2:+-- "$2"}
}
