#!/bin/bash
# Arrays, and sourcing the files of a folder.

# is_in_array ARRAY VALUE: 0 if an element of the array named ARRAY equals VALUE, else 1.
# ARRAY is the array's name, not its content: is_in_array excluded_files "$file"
is_in_array() {
  local _array=${1:-} _wanted=${2:-} _element
  case $_array in
    '' | [0-9]* | *[!A-Za-z0-9_]*)
      echo "is_in_array: \"$_array\" is not the name of an array; call is_in_array ARRAY VALUE" >&2
      return 2
      ;;
  esac
  _array="${_array}[@]"
  # The + form: bash before 4.4 calls an empty array unset under set -u.
  for _element in ${!_array+"${!_array}"}; do
    [ "$_element" = "$_wanted" ] && return 0
  done
  return 1
}

# source_files_in_dir DIR: sources DIR/*.sh in name order into the caller's shell, except files
# whose paths are in the array excluded_files.
source_files_in_dir() {
  local _file
  if [ ! -d "${1:-}" ]; then
    echo "source_files_in_dir: \"${1:-}\" is not a folder; give the folder that holds the *.sh files" >&2
    return 1
  fi
  for _file in "$1"/*.sh; do
    [ -f "$_file" ] || continue
    is_in_array excluded_files "$_file" && continue
    # shellcheck source=/dev/null
    . "$_file"
  done
  return 0
}
