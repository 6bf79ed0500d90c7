#!/bin/bash
# shellcheck disable=SC2034 # the globals are for scripts
# autoinit: the module namespace for scripts that are started without the loader.
#
# Old scripts begin with
#     [ -z $autoinit ] && { . /Library/code/lib/modules/autoinit.sh; autoinit; }
# Under the loader $autoinit is "true" already and this file is not read. Without the loader
# `autoinit` sets the globals and sources every module, in the order of their names' bytes.

# autoinit: sets code, lib, logs, modules, scripts, autoinit and sources every module.
# The library is the one that this file stands in, else $LDI_ROOT/lib, else /Library/code/lib.
autoinit() {
  # Names that no module uses, because modules are sourced while they are in sight.
  local __autoinit_file __autoinit_files __autoinit_locale="${LC_ALL-unset}"
  if [ "${autoinit:-}" = true ]; then
    return 0
  fi

  modules="$(cd "$(dirname "${BASH_SOURCE[0]}")" 2>/dev/null && pwd)"
  lib="${modules%/*}"
  code="${lib%/*}"
  code="${code%/releases}"
  if [ ! -f "$modules/autoinit.sh" ]; then
    code="${LDI_ROOT:-/Library/code}"
    lib="$code/lib"
    modules="$lib/modules"
  elif [ -n "${LDI_ROOT:-}" ]; then
    code="$LDI_ROOT"
  fi
  logs="$code/logs"
  scripts="$lib/scripts"
  autoinit=true

  LC_ALL=C
  __autoinit_files=("$modules"/*.sh)
  if [ "$__autoinit_locale" = unset ]; then
    unset LC_ALL
  else
    LC_ALL="$__autoinit_locale"
  fi
  for __autoinit_file in "${__autoinit_files[@]}"; do
    case "$__autoinit_file" in
      */autoinit.sh | *'/*.sh') ;;
      *)
        # shellcheck disable=SC1090 # every module there is
        . "$__autoinit_file"
        ;;
    esac
  done
}
