#!/bin/bash
# For collectors in bash: answers that do not flap, and text that is JSON.

# stable NAME VALUE [DAYS]: prints VALUE, or what was given last if VALUE is "unknown" just now.
# The last answer is kept in LDI_STATE_DIR, for DAYS days (30); without that folder nothing is kept.
stable() {
  local _file="${LDI_STATE_DIR:-}/last-${1:-}" _value=${2:-unknown} _days=${3:-30} _now _at _new _last=''
  case ${1:-} in
    '' | *[!A-Za-z0-9._-]*)
      echo "stable: \"${1:-}\" is not the name of a fact; it has letters, digits and ._-" >&2
      return 2
      ;;
  esac
  _now=$(date +%s)
  if [ -d "${LDI_STATE_DIR:-}" ] && [ "$_value" != unknown ]; then
    # In one step: what a crash left half written would be the answer for days.
    if _new=$(mktemp "$_file.XXXXXX"); then
      { printf '%s\n%s\n' "$_now" "$_value" >"$_new" && mv -f "$_new" "$_file"; } || rm -f "$_new"
    fi
  elif [ -r "$_file" ]; then
    { IFS= read -r _at && _last=$(cat); } <"$_file" || :
    case $_at in '' | *[!0-9]*) _at=0 ;; esac
    if [ "$_at" -le "$_now" ] && [ $((_now - _at)) -lt $((_days * 86400)) ] && [ -n "$_last" ]; then
      _value=$_last
    fi
  fi
  printf '%s\n' "$_value"
}

# json_string TEXT: prints TEXT as a JSON string, quotes included.
json_string() {
  printf '%s' "${1:-}" | LC_ALL=C awk '
    BEGIN {
      for (i = 1; i < 32; i++) code[sprintf("%c", i)] = sprintf("\\u%04x", i)
      code["\""] = "\\\""
      code["\\"] = "\\\\"
    }
    {
      if (NR > 1) text = text "\\n"
      for (i = 1; i <= length($0); i++) { c = substr($0, i, 1); text = text ((c in code) ? code[c] : c) }
    }
    END { printf "\"%s\"\n", text }'
}
