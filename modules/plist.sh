#!/bin/bash
# Property lists: settings of macOS, launchd's files. A KEY leads through dictionaries and lists:
# "Sockets:Listeners:0:SockServiceName"; a key with a colon in it cannot be named.
# macOS (12 and later): plutil, and defaults for settings, which the system keeps in memory. Elsewhere:
# python3.

# plist_read FILE KEY: prints a string, number, date or true/false of a property list.
# A message and 1 if there is no such key, or if it is a dictionary or a list.
plist_read() {
  local _value _kind
  if [ ! -r "${1:-}" ] || [ -z "${2:-}" ]; then
    echo "plist_read: \"${1:-}\" cannot be read; call it as plist_read FILE KEY" >&2
    return 1
  fi
  if ! is_macos; then
    _plist_python read "$1" "$2"
    return
  fi
  if ! _kind=$(plutil -type "$(_plist_path "$2")" "$1" 2>/dev/null); then
    echo "plist_read: $1 has no $2" >&2
    return 1
  fi
  case $_kind in
    dictionary | array)
      echo "plist_read: $2 of $1 is a $_kind; name a value in it" >&2
      return 1
      ;;
  esac
  _value=$(plutil -extract "$(_plist_path "$2")" raw -o - "$1") || return 1
  printf '%s\n' "$_value"
}

# plist_write FILE KEY VALUE [TYPE]: sets a value: string (default), integer, float or bool.
# The file and the dictionaries on the way are made if needed. On macOS KEY leads into a dictionary
# only if that is there, and a file of settings is written through the system's cache.
plist_write() {
  local _type=${4:-string}
  case "$#$_type" in
    [34]string | [34]integer | [34]float | [34]bool) ;;
    *)
      echo "plist_write: call it as plist_write FILE KEY VALUE [string|integer|float|bool]" >&2
      return 2
      ;;
  esac
  if [ "$(plist_read "$1" "$2" 2>/dev/null)" = "$3" ] && [ "$_type" = "$(_plist_type "$1" "$2")" ]; then
    return 0
  fi
  would "set $2 of $1 to $3" && return 0
  if ! is_macos; then
    _plist_python write "$@"
    return
  fi
  case $2 in
    *:*) plutil -replace "$(_plist_path "$2")" "-$_type" "$3" "$1" ;;
    *)
      case $1 in
        /*) defaults write "$1" "$2" "-$_type" "$3" ;;
        *) defaults write "$PWD/$1" "$2" "-$_type" "$3" ;;
      esac
      ;;
  esac
}

# plutil's paths are separated by dots; a dot in a key is \.
_plist_path() { printf '%s' "$1" | sed -e 's/\./\\./g' -e 's/:/./g'; }

_plist_type() {
  if is_macos; then
    plutil -type "$(_plist_path "$2")" "$1" 2>/dev/null || :
  else
    _plist_python type "$1" "$2" 2>/dev/null || :
  fi
}

_plist_python() {
  python3 -I -c '
import datetime, os, plistlib, sys, tempfile
act, path, key = sys.argv[1:4]
try:
    with open(path, "rb") as file:
        top = plistlib.load(file)
except FileNotFoundError:
    top = {}
except Exception as error:
    sys.exit("%s is not a property list: %s" % (path, error))
kinds = ((bool, "bool"), (int, "integer"), (float, "float"), (str, "string"))
def step(at, word):
    return at[int(word)] if isinstance(at, list) else at[word]
*way, last = key.split(":")
at = top
try:
    if act == "write":
        for word in way:
            at = at.setdefault(word, {}) if isinstance(at, dict) else at[int(word)]
        value, kind = (sys.argv[4:] + ["string"])[:2]
        if kind == "bool":
            value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        else:
            value = {"integer": int, "float": float, "string": str}[kind](value)
        at[int(last) if isinstance(at, list) else last] = value
    else:
        for word in way + [last]:
            at = step(at, word)
except (KeyError, IndexError, TypeError, AttributeError):
    sys.exit("%s has no %s" % (path, key))
except ValueError:
    sys.exit("%s of %s: that value does not fit" % (key, path))
if act == "write":
    path = os.path.realpath(path)
    handle, new = tempfile.mkstemp(prefix=".plist.", dir=os.path.dirname(path))
    with open(handle, "wb") as file:
        plistlib.dump(top, file)
    os.chmod(new, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644)
    os.replace(new, path)
elif act == "type":
    print(next((name for kind, name in kinds if isinstance(at, kind)), "other"))
elif isinstance(at, (dict, list)):
    sys.exit("%s of %s is a %s; name a value in it" % (key, path, "dictionary" if isinstance(at, dict) else "list"))
elif isinstance(at, datetime.datetime):
    print(at.isoformat() + "Z")
else:
    print(str(at).lower() if isinstance(at, bool) else at)
' "$@"
}
