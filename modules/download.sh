#!/bin/bash
# Fetching a file whose content is known by its hash. Nothing unverified gets the file's name.

# download URL SHA256 FILE: makes FILE the content of URL, if its SHA-256 is the one given.
# FILE that has it already: nothing is fetched. https only, and http from this machine itself. At
# most LDI_DOWNLOAD_MEGABYTES (4096). Fetched beside FILE and renamed, mode 0644. A message and 1
# when it cannot; FILE is then as it was.
download() {
  local _url=${1:-} _hash _file=${3:-} _new _got _limit=${LDI_DOWNLOAD_MEGABYTES:-4096}
  _hash=$(printf '%s' "${2:-}" | tr '[:upper:]' '[:lower:]')
  case $_hash in *[!0-9a-f]*) _hash='' ;; esac
  if [ "${#_hash}" -ne 64 ] || [ -z "$_file" ]; then
    echo "download: call it as download URL SHA256 FILE; the hash has 64 hexadecimal digits" >&2
    return 2
  fi
  if ! _may_fetch "$_url"; then
    echo "download: \"$_url\" is refused; give an https:// address" >&2
    return 2
  fi
  if [ -d "$_file" ]; then
    echo "download: $_file is a folder; name the file" >&2
    return 1
  fi
  if [ -f "$_file" ] && [ "$(sha256 "$_file")" = "$_hash" ]; then
    return 0
  fi
  would "download $_url to $_file" && return 0
  _new=$(mktemp "$(dirname -- "$_file")/.download.XXXXXX") || return 1
  if ! _fetch "$_url" "$_new" "$_limit"; then
    rm -f "$_new"
    echo "download: $_url could not be fetched, or has more than $_limit MB; $_file was left as it was" >&2
    return 1
  fi
  _got=$(sha256 "$_new") || _got=unknown
  if [ "$_got" != "$_hash" ]; then
    rm -f "$_new"
    echo "download: $_url has SHA-256 $_got, not $_hash; $_file was left as it was" >&2
    return 1
  fi
  if ! { chmod 644 "$_new" && mv -f "$_new" "$_file"; }; then
    rm -f "$_new"
    echo "download: cannot write $_file; it was left as it was" >&2
    return 1
  fi
}

# sha256 FILE: prints the SHA-256 of a file's content, 64 hexadecimal digits.
sha256() {
  local _line
  if command -v sha256sum >/dev/null 2>&1; then
    _line=$(sha256sum <"${1:-}") || return 1
  else
    _line=$(shasum -a 256 <"${1:-}") || return 1
  fi
  echo "${_line%% *}"
}

_may_fetch() {
  case $1 in
    *[[:space:][:cntrl:]]*) return 1 ;;
    https://?*) return 0 ;;
    # The whole host: a name may begin with "localhost", and a user part may look like a host.
    http://*@*) return 1 ;;
    http://localhost[:/]* | http://127.0.0.1[:/]* | http://\[::1\][:/]*) return 0 ;;
    *) return 1 ;;
  esac
}

# A server can send more than it says: the limit of file sizes ends whoever writes it.
_fetch() {
  local _schemes='=https'
  case $1 in http://*) _schemes='=http,https' ;; esac
  (
    # A subshell of its own, and status 1 for every failure: a signal would be named on stderr.
    ulimit -f $(($3 * 1024)) || exit 1
    ulimit -c 0
    if command -v curl >/dev/null 2>&1; then
      curl -q -sSfLg --proto "$_schemes" --proto-redir "$_schemes" --connect-timeout 30 \
        --speed-limit 1000 --speed-time 60 -o "$2" "$1" || exit 1
    elif command -v wget >/dev/null 2>&1; then
      wget -nv --tries=1 --timeout=60 -O "$2" "$1" || exit 1
    elif command -v python3 >/dev/null 2>&1; then
      python3 -I -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(answer, file)' "$1" "$2" || exit 1
    else
      echo "download: neither curl nor wget nor python3 is here; install one" >&2
      exit 1
    fi
  )
}
