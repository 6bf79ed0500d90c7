#!/bin/bash
# Settings of the library: conf/NAME.conf, lines of KEY = VALUE, # for comments.
# The files are read, never sourced: a value is text, not code.

# conf_value NAME KEY [DEFAULT]: prints the value of KEY in conf/NAME.conf; if it is not set, DEFAULT
# or nothing. The last line wins. Reads at most 1,000 lines. Always 0.
conf_value() {
  local _conf _line _key _value='' _count=0
  _conf="${LDI_LIB:-${lib:-/Library/code/lib}}/conf/${1:-}.conf"
  [ -r "$_conf" ] || _conf=/dev/null
  while IFS= read -r _line || [ -n "$_line" ]; do
    _count=$((_count + 1))
    [ "$_count" -le 1000 ] || break
    case $_line in
      '#'*) continue ;;
      *=*) ;;
      *) continue ;;
    esac
    # Splitting by read also trims blanks and a carriage return.
    IFS=$' \t\r' read -r _key <<<"${_line%%=*}" || :
    [ "$_key" = "${2:-}" ] || continue
    IFS=$' \t\r' read -r _value <<<"${_line#*=}" || :
  done <"$_conf"
  _value=${_value:-${3:-}}
  [ -z "$_value" ] || printf '%s\n' "$_value"
}
