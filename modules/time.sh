#!/bin/bash
# The clock of this machine.

# set_local_time [SERVER]: turns network time on, with SERVER or time_server of
# conf/network.conf if there is one. Needs root. A message and 1 when it cannot.
set_local_time() {
  local _server=${1:-} _folder=${LDI_TIMESYNCD_DIR:-/etc/systemd/timesyncd.conf.d} _new
  [ -n "$_server" ] || _server=$(conf_value network time_server)
  case $_server in
    *[!A-Za-z0-9.:_-]* | -*)
      echo "set_local_time: \"$_server\" is not the name of a time server; correct time_server in conf/network.conf" >&2
      return 1
      ;;
  esac
  if is_macos; then
    noop systemsetup -setusingnetworktime on || return 1
    [ -z "$_server" ] || noop systemsetup -setnetworktimeserver "$_server" || return 1
  elif command -v timedatectl >/dev/null 2>&1; then
    if [ -n "$_server" ] && ! would "set NTP=$_server in $_folder/ldi.conf"; then
      mkdir -p "$_folder" || return 1
      _new=$(mktemp "$_folder/.ldi.XXXXXX") || return 1
      if ! { printf '[Time]\nNTP=%s\n' "$_server" >"$_new" && chmod 644 "$_new" && mv -f "$_new" "$_folder/ldi.conf"; }; then
        rm -f "$_new"
        echo "cannot write $_folder/ldi.conf; the time server was not set" >&2
        return 1
      fi
    fi
    if ! noop timedatectl set-ntp true; then
      echo "network time could not be turned on; run as root, with systemd-timesyncd or chrony installed" >&2
      return 1
    fi
    [ -z "$_server" ] || noop systemctl try-restart systemd-timesyncd.service || return 1
  else
    echo "timedatectl is not here; set the clock by hand" >&2
    return 1
  fi
}
