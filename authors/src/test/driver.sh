# shellcheck shell=bash disable=SC1010,SC1090,SC2034,SC2209,SC2317 # the file is the author's; words.sh uses the variables
# Runs one test of one file, or lists the tests of a file. The runner starts it through the loader,
# so every module was sourced before, and $0 is the test file.

__test_mode=$1 __test_file=$2 __test_name=$3 __test_dir=$4 __test_site=$5 __test_runner=$6 tree=$7
shift $#
work=$__test_dir/work
umask 022
. "$__test_site/words.sh"

__test_stage=read __test_begun=

# A module's function of that name is not the test's, and may do anything.
__test_foreign=
for __test_word in setup teardown; do
  ! declare -F "$__test_word" >/dev/null || __test_foreign=$__test_foreign$(declare -f "$__test_word")
done
__test_is_own() {
  declare -F "$1" >/dev/null || return 1
  case $__test_foreign in '') ;; *"$(declare -f "$1")"*) return 1 ;; esac
}

# What is left to do when the shell ends, wherever that is. Which command ended it is not known here:
# bash has left the file already.
__test_exit() {
  local code=$? place=${FUNCNAME[1]:-}
  [ "$__test_stage" != finished ] || return 0
  trap - EXIT
  set +e
  case $__test_stage in
    read) __test_record ended "$__test_file" "the shell ended with status $code while the file was read" ;;
    skipped) ;;
    *)
      local __test_where
      __test_find 2
      __test_record ended "$__test_where" "the shell ended with status $code in ${place:-$__test_name}: by exit, set -e or an error"
      ;;
  esac
  __test_teardown
  __test_finish
}

# A trap that the file set for the end is kept.
__test_finish() {
  __test_record done "" ""
  __test_stage=finished
  exit 0
}

__test_teardown() {
  local code=0
  [ -n "$__test_begun" ] && __test_is_own teardown || return 0
  teardown || code=$?
  [ "$code" -eq 0 ] || __test_record status "$__test_file" "teardown ended with status $code"
}

if [ "$__test_mode" = list ]; then
  if ! __test_said=$("$BASH" -n "$__test_file" 2>&1); then
    __test_record ended "$__test_file" "$__test_said"
    __test_finish
  fi
  trap __test_exit EXIT
  . "$__test_file"
  # Whatever the file chose for itself.
  IFS=$' \t\n'
  shopt -s extdebug
  while read -r _ _ __test_name; do
    case $__test_name in test_*) ;; *) continue ;; esac
    read -r _ __test_line __test_from <<<"$(declare -F "$__test_name")"
    [ "$__test_from" != "$__test_file" ] || __test_record test "$__test_line" "$__test_name"
  done <<<"$(declare -F)"
  __test_finish
fi

trap __test_exit EXIT
. "$__test_file"
__test_stage=setup __test_begun=1
if __test_is_own setup; then
  setup
  __test_status=$?
  if [ "$__test_status" -ne 0 ]; then
    __test_record status "$__test_file" "setup ended with status $__test_status"
    __test_name=:
  fi
fi
__test_stage=test
"$__test_name"
__test_status=$?
set +e
[ "$__test_status" -eq 0 ] || __test_record status "$__test_file" "$__test_name ended with status $__test_status"
__test_teardown
__test_finish
