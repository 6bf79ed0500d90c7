#!/bin/bash
# Files: making one equal to the library's, and lines that must be there.
# A symbolic link is followed: the file that it names is replaced, in one step. The old content is
# kept beside the name that was given, as FILE.code.bak.

# diff_replace LOCAL REPO: makes LOCAL equal to REPO.
#   same          nothing is printed, 0
#   different     LOCAL is kept as LOCAL.code.bak, replaced in one step, mode 0644, one line, 0
#   no REPO       a message, 1
# A symbolic link is followed: the file that it names is replaced. The owner is kept.
diff_replace() {
  local _target
  if [ -z "${1:-}" ] || [ -z "${2:-}" ]; then
    echo "diff_replace: needs two paths: diff_replace LOCAL REPO" >&2
    return 1
  fi
  if [ ! -f "$2" ]; then
    echo "$2 does not exist"
    return 1
  fi
  _target=$(_link_end "$1") || return 1
  cmp -s "$2" "$_target" && return 0
  _put_file "$1" "$2" 644 ''
}

# ensure_file FILE FROM [MODE [OWNER]]: gives FILE the content of FROM, a mode (644) and an owner.
# OWNER is USER, USER:GROUP or :GROUP; without it FILE keeps its own. All as it should be: nothing
# is printed. Else FILE is replaced in one step and a line is printed. A message and 1 when it cannot.
ensure_file() {
  local _file=${1:-} _from=${2:-} _mode=${3:-644} _owner=${4:-} _target
  case $_mode in *[!0-7]*) _file='' ;; esac
  if [ -z "$_file" ] || [ -z "$_from" ]; then
    echo "ensure_file: call it as ensure_file FILE FROM [MODE [OWNER]], MODE like 644" >&2
    return 2
  fi
  if [ ! -f "$_from" ]; then
    echo "ensure_file: $_from does not exist; $_file was left as it is" >&2
    return 1
  fi
  _target=$(_link_end "$_file") || return 1
  cmp -s "$_from" "$_target" && _has_mode "$_target" "$_mode" "$_owner" && return 0
  _put_file "$_file" "$_from" "$_mode" "$_owner"
}

# ensure_line FILE LINE: adds LINE to the end of FILE if no line of it is the same.
# FILE is made if it is not there (mode 644), else it keeps mode and owner. A message and 1 when it
# cannot.
ensure_line() {
  local _file=${1:-} _line=${2:-} _target _with _status=0
  case $_line in '' | *$'\n'*) _file='' ;; esac
  if [ -z "$_file" ]; then
    echo "ensure_line: call it as ensure_line FILE LINE, with one line that is not empty" >&2
    return 2
  fi
  _target=$(_link_end "$_file") || return 1
  if [ -f "$_target" ] && grep -qxF -- "$_line" "$_target"; then
    return 0
  fi
  _with=$(mktemp "${TMPDIR:-/tmp}/ensure_line.XXXXXX") || return 1
  {
    if [ -f "$_target" ]; then
      cat "$_target"
      # The last line may lack its end.
      [ -z "$(tail -c 1 "$_target")" ] || echo
    fi
    printf '%s\n' "$_line"
  } >"$_with" || _status=1
  if [ "$_status" -eq 0 ]; then
    _put_file "$_file" "$_with" "$([ -f "$_target" ] || echo 644)" '' "line added to $_file" || _status=1
  fi
  rm -f "$_with"
  return "$_status"
}

# _put_file NAME FROM MODE OWNER [SAYS]: replaces the file that NAME leads to. Empty MODE or OWNER:
# as they are. Prints the time and SAYS.
_put_file() {
  local _local _bak="$1.code.bak" _from=$2 _mode=$3 _owner=$4 _says=${5:-$2 -> $1} _new _old
  _local=$(_link_end "$1") || return 1
  if [ -e "$_local" ] && [ ! -f "$_local" ]; then
    echo "$_local is not a regular file; it was left as it is" >&2
    return 1
  fi
  would "replace $_local ($_says)" && return 0
  _new=$(mktemp "$(dirname -- "$_local")/.diff_replace.XXXXXX") || return 1
  # Where only the mode differs, the backup of what was there before is worth more.
  if [ -f "$_local" ] && cmp -s "$_from" "$_local"; then
    if ! cp -p "$_local" "$_new"; then
      rm -f "$_new"
      return 1
    fi
  elif [ -f "$_local" ]; then
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
  # chown takes set-id bits away, so the mode comes last.
  if ! { cat "$_from" >"$_new" && { [ -z "$_owner" ] || chown -- "$_owner" "$_new"; } &&
    { [ -z "$_mode" ] || chmod "$_mode" "$_new"; } && mv -f "$_new" "$_local"; }; then
    rm -f "$_new"
    echo "cannot replace $_local by $_from; it was left as it is" >&2
    return 1
  fi
  echo "$(date '+%Y-%m-%d %H:%M:%S') $_says"
}

# Whether a file has a mode and an owner; stat(1) has other options on each system, find has not.
_has_mode() {
  local _file=$1 _mode=$2 _user=${3%%:*} _group=''
  case $3 in *:*) _group=${3#*:} ;; esac
  case $_file in -*) _file=./$_file ;; esac
  set -- "$_file" -prune -type f -perm "$_mode" ${_user:+-user "$_user"} ${_group:+-group "$_group"}
  [ -n "$(find "$@" 2>/dev/null)" ]
}

# Prints the path that a chain of symbolic links ends at; macOS had no readlink -f before 12.3.
_link_end() {
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
