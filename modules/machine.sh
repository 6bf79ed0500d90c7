#!/bin/bash
# What this machine is, on Linux and macOS. How busy it is: facts.sh.

# ldi_fact NAME: prints a fact about this machine; status 1 if it is "unknown" (or nobody: "none").
#   os (linux, macos), distname, version, arch (x86_64, aarch64, …), hostname, serial, model,
#   machine_id, memory_megabytes (in all), cpu_count, uptime_seconds, console_user (who is at the
#   console, or none)
# An environment variable LDI_FACT_NAME, in upper case, is taken instead: for tests.
ldi_fact() {
  local _value
  case ${1:-} in
    os) _value=${LDI_FACT_OS:-$(_fact_os)} ;;
    distname) _value=${LDI_FACT_DISTNAME:-$(_fact_distname)} ;;
    version) _value=${LDI_FACT_VERSION:-$(_fact_version)} ;;
    arch) _value=${LDI_FACT_ARCH:-$(_fact_arch)} ;;
    hostname) _value=${LDI_FACT_HOSTNAME:-$(uname -n)} ;;
    serial) _value=${LDI_FACT_SERIAL:-$(_fact_serial)} ;;
    model) _value=${LDI_FACT_MODEL:-$(_fact_model)} ;;
    machine_id) _value=${LDI_FACT_MACHINE_ID:-$(_fact_machine_id)} ;;
    memory_megabytes)
      _value=${LDI_FACT_MEMORY_MEGABYTES:-$(memory_megabytes)}
      _value=${_value##* }
      ;;
    cpu_count) _value=${LDI_FACT_CPU_COUNT:-$(cpu_count)} ;;
    uptime_seconds) _value=${LDI_FACT_UPTIME_SECONDS:-$(uptime_seconds)} ;;
    console_user) _value=${LDI_FACT_CONSOLE_USER:-$(_fact_console_user)} ;;
    *)
      echo "ldi_fact: \"${1:-}\" is not a fact that is known; see docs/library.md" >&2
      return 2
      ;;
  esac
  printf '%s\n' "${_value:-unknown}"
  case $_value in '' | unknown | none) return 1 ;; esac
}

# is_macos: status 0 on macOS, else 1.
is_macos() { [ "$(uname -s)" = Darwin ]; }

# os_name: prints the operating system with its version, as people say it.
os_name() {
  local _name
  if is_macos; then
    echo "macOS $(sw_vers -productVersion)"
    return 0
  fi
  _name=$(_os_release PRETTY_NAME)
  echo "${_name:-unknown}"
}

_fact_os() {
  case $(uname -s) in
    Darwin) echo macos ;;
    *) uname -s | tr '[:upper:]' '[:lower:]' ;;
  esac
}

_fact_distname() { if is_macos; then echo macOS; else _os_release NAME; fi; }

# Arch has no versions: BUILD_ID is "rolling".
_fact_version() {
  local _version
  if is_macos; then
    sw_vers -productVersion 2>/dev/null || :
    return 0
  fi
  _version=$(_os_release VERSION_ID)
  if [ -n "$_version" ]; then echo "$_version"; else _os_release BUILD_ID; fi
}

# The words of a job's arch = […].
_fact_arch() {
  local _arch
  _arch=$(uname -m)
  case $_arch in
    arm64) echo aarch64 ;;
    amd64) echo x86_64 ;;
    *) echo "$_arch" ;;
  esac
}

# Linux: only root may read it.
_fact_serial() {
  local _serial
  if is_macos; then
    _serial=$(_mac_hardware 'Serial Number (system)')
  else
    _serial=$(_first_line /sys/class/dmi/id/product_serial /proc/device-tree/serial-number)
  fi
  # Firmware that was never told its number says one of these.
  case $(printf '%s' "$_serial" | tr '[:upper:]' '[:lower:]') in
    0 | none | n/a | 'not specified' | 'not applicable' | 'default string' | 'system serial number' | \
      'to be filled by o.e.m.' | 'chassis serial number' | invalid) ;;
    *) echo "$_serial" ;;
  esac
}

_fact_model() {
  if is_macos; then
    _mac_hardware 'Model Name'
  else
    _first_line /sys/class/dmi/id/product_name /proc/device-tree/model
  fi
}

_fact_machine_id() {
  if is_macos; then
    #     "IOPlatformUUID" = "564D0000-…"
    ioreg -rd1 -c IOPlatformExpertDevice 2>/dev/null | awk -F'"' '$2 == "IOPlatformUUID" { print $4 }' || :
  else
    _first_line /etc/machine-id /var/lib/dbus/machine-id
  fi
}

_fact_console_user() {
  local _user _session
  if is_macos; then
    _user=$(stat -f %Su /dev/console 2>/dev/null) || _user=unknown
    # Before anybody has logged in the console is root's; the log-in window has an account too.
    case $_user in root | loginwindow | _mbsetupuser) _user=none ;; esac
    echo "$_user"
    return 0
  fi
  _session=$(loginctl show-seat seat0 --property=ActiveSession --value 2>/dev/null) || return 0
  if [ -z "$_session" ]; then
    echo none
    return 0
  fi
  # The screen where people log in has a session of its own, of class greeter.
  loginctl show-session "$_session" --property=Name --property=Class 2>/dev/null | awk -F= '
    { value[$1] = $2 }
    END { if (value["Class"] == "user") print value["Name"]; else if ("Class" in value) print "none" }' || :
}

# A value of /etc/os-release.
_os_release() {
  local _file _line _value=''
  for _file in /etc/os-release /usr/lib/os-release; do
    [ -r "$_file" ] || continue
    while IFS= read -r _line; do
      case $_line in "$1="*) _value=${_line#*=} ;; esac
    done <"$_file"
    break
  done
  _value=${_value#[\"\']}
  printf '%s\n' "${_value%[\"\']}"
}

# A value of the Mac's hardware overview.
_mac_hardware() {
  system_profiler SPHardwareDataType 2>/dev/null | awk -F': ' -v key="$1" '
    { sub(/^ +/, "", $1) }
    $1 == key { print $2 }' || :
}

# The first line of the first of these files that can be read and says something.
_first_line() {
  local _path _line
  for _path in "$@"; do
    _line=''
    [ ! -r "$_path" ] || _line=$(head -n 1 "$_path" 2>/dev/null | tr -d '\000')
    IFS=$' \t' read -r _line <<<"$_line" || :
    [ -z "$_line" ] || break
  done
  printf '%s\n' "${_line:-}"
}
