#!/bin/bash
# Coloured lines: colour on a terminal only, and never with NO_COLOR set.

# print_red TEXT…: prints a line in red.
print_red() { _print_in_color '31' "$@"; }

# print_lightred TEXT…: prints a line in light red.
print_lightred() { _print_in_color '31;1' "$@"; }

# print_green TEXT…: prints a line in green.
print_green() { _print_in_color '32' "$@"; }

# print_lightgreen TEXT…: prints a line in light green.
print_lightgreen() { _print_in_color '32;1' "$@"; }

# print_yellow TEXT…: prints a line in yellow.
print_yellow() { _print_in_color '33;1' "$@"; }

_print_in_color() {
  local _code=$1 IFS=' '
  shift
  if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    printf '\033[%sm%s\033[0m\n' "$_code" "$*"
  else
    printf '%s\n' "$*"
  fi
}
