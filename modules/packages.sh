#!/bin/bash
# Packages of the system: apt (Debian, Ubuntu), dnf (Fedora), pacman (Arch). On macOS a package is
# known by its receipt (pkgutil), and installed from a .pkg file.

# package_version NAME: prints the version of an installed package; status 1 if it is not installed.
package_version() {
  local _said _version='' _line_end=$'\n'
  _package_name "${1:-}" || return 2
  case $(_package_manager) in
    apt)
      _said=$(dpkg-query -W -f='${db:Status-Status} ${Version}\n' -- "$1" 2>/dev/null) || _said=''
      # One line for each architecture.
      while read -r _said _version; do
        [ "$_said" != installed ] || break
        _version=''
      done <<<"$_said"
      ;;
    dnf) _version=$(rpm -q --qf '%{VERSION}-%{RELEASE}\n' -- "$1" 2>/dev/null) || _version='' ;;
    pacman) _said=$(pacman -Q -- "$1" 2>/dev/null) && _version=${_said#* } ;;
    macos) _version=$(pkgutil --pkg-info "$1" 2>/dev/null | awk '$1 == "version:" { print $2 }') || _version='' ;;
    *)
      echo "package_version: no package manager that is known here (apt, dnf, pacman, macOS)" >&2
      return 1
      ;;
  esac
  [ -n "$_version" ] || return 1
  # A kernel, for one, is installed in several versions: the newest is the last.
  echo "${_version##*"$_line_end"}"
}

# package_installed NAME: status 0 if a package is installed, else 1.
package_installed() { package_version "$@" >/dev/null; }

# package_install NAME…: installs the packages that are not installed yet. Needs root.
# macOS: NAME is a .pkg file, which is installed each time; see package_installed.
package_install() {
  local _manager _name _count=$#
  _manager=$(_package_manager)
  if [ "$_manager" = macos ]; then
    for _name in "$@"; do
      noop /usr/sbin/installer -pkg "$_name" -target / || return 1
    done
    return 0
  fi
  for _name in "$@"; do
    _package_name "$_name" || return 2
    package_installed "$_name" || set -- "$@" "$_name"
  done
  shift "$_count"
  [ $# -gt 0 ] || return 0
  case $_manager in
    apt) noop env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install -- "$@" ;;
    dnf) noop dnf -q -y install "$@" ;;
    pacman) noop pacman -S --noconfirm --needed -- "$@" ;;
    *)
      echo "package_install: no package manager that is known here (apt, dnf, pacman, macOS)" >&2
      return 1
      ;;
  esac
}

_package_manager() {
  if is_macos; then
    echo macos
  elif command -v dpkg-query >/dev/null 2>&1; then
    echo apt
  elif command -v pacman >/dev/null 2>&1; then
    echo pacman
  elif command -v rpm >/dev/null 2>&1; then
    echo dnf
  else
    echo unknown
  fi
}

_package_name() {
  case $1 in
    '' | [!A-Za-z0-9]* | *[!A-Za-z0-9+._:@~-]*)
      echo "\"$1\" is not the name of a package" >&2
      return 1
      ;;
  esac
}
