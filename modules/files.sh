#!/bin/bash
# Files: replacing a local one by the library's.

# diff_replace LOCAL REPO: makes LOCAL equal to REPO.
#   same          nothing is printed, 0
#   different     LOCAL is kept as LOCAL.code.bak, replaced in one step, mode 0644, one line, 0
#   no REPO       a message, 1
# A symbolic link is followed: the file that it names is replaced. The owner is kept.
diff_replace() {
  local _local=${1:-} _repo=${2:-} _bak="${1:-}.code.bak" _new _old
  if [ -z "$_local" ] || [ -z "$_repo" ]; then
    echo "diff_replace: needs two paths: diff_replace LOCAL REPO" >&2
    return 1
  fi
  if [ ! -f "$_repo" ]; then
    echo "$_repo does not exist"
    return 1
  fi
  _local=$(_diff_replace_target "$_local") || return 1
  cmp -s "$_repo" "$_local" && return 0
  if [ -e "$_local" ] && [ ! -f "$_local" ]; then
    echo "$_local is not a regular file; it was left as it is" >&2
    return 1
  fi
  _new=$(mktemp "$(dirname -- "$_local")/.diff_replace.XXXXXX") || return 1
  if [ -f "$_local" ]; then
    # The backup is also made beside and renamed: a link planted at its name is not followed.
    if ! _old=$(mktemp "$(dirname -- "$_bak")/.diff_replace.XXXXXX"); then
      rm -f "$_new"
      return 1
    fi
    if ! { cp -p "$_local" "$_old" && mv -f "$_old" "$_bak" && cp -p "$_local" "$_new"; }; then
      rm -f "$_new" "$_old"
      echo "cannot keep $_local as $_bak; it was left as it is" >&2
      return 1
    fi
  fi
  if ! { cat "$_repo" >"$_new" && chmod 644 "$_new" && mv -f "$_new" "$_local"; }; then
    rm -f "$_new"
    echo "cannot replace $_local by $_repo; it was left as it is" >&2
    return 1
  fi
  echo "$(date '+%Y-%m-%d %H:%M:%S') $_repo -> $_local"
}

# Prints the path that a chain of symbolic links ends at; macOS had no readlink -f before 12.3.
_diff_replace_target() {
  local _path=$1 _link _hops=0
  while [ -L "$_path" ]; do
    _hops=$((_hops + 1))
    if [ "$_hops" -gt 40 ]; then
      echo "$1 is a loop of symbolic links; remove it or name the file itself" >&2
      return 1
    fi
    _link=$(readlink "$_path") || return 1
    case $_link in
      /*) _path=$_link ;;
      *) _path=$(dirname -- "$_path")/$_link ;;
    esac
  done
  printf '%s\n' "$_path"
}
