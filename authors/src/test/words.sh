# shellcheck shell=bash disable=SC2034,SC2119,SC2120,SC2154 # the driver sets what tests and runner use
# The words of bash tests (docs/testing.md). Understood by bash 3.2; needs no command of the
# system, so it works where a test took them all away. Names that begin with __test are the
# runner's own: __test_dir is the folder of this one test, $work the part of it that is the test's.

# Without the stubs, which come first.
__test_path=${PATH#*:}
__test_chmod=$(type -P chmod)
__test_mkdir=$(type -P mkdir)
__test_ln=$(type -P ln)
__test_rm=$(type -P rm)

# __test_record KIND WHERE TEXT: a record for the runner, by a file, so that it comes from subshells
# and without any descriptor too.
__test_record() { printf '%s\t%s\t%s\0' "$1" "$2" "$3" >>"$__test_dir/report"; }

# __test_find [FRAME]: sets __test_where to the line of the test file that led here.
__test_find() {
  local at=${1:-1} chain=
  __test_where=
  while [ "$at" -lt "${#BASH_SOURCE[@]}" ]; do
    if [ "${BASH_SOURCE[$at]}" = "$__test_file" ]; then
      if [ -z "$__test_where" ]; then
        __test_where=$__test_file:${BASH_LINENO[$((at - 1))]}
      else
        chain="$chain, called at line ${BASH_LINENO[$((at - 1))]}"
      fi
      case ${FUNCNAME[$at]} in "$__test_name" | setup | teardown) break ;; esac
    fi
    at=$((at + 1))
  done
  __test_where=${__test_where:-$__test_file}$chain
}

__test_fail() {
  local __test_where
  __test_find
  __test_record fail "$__test_where" "$1"
  return 1
}

# __test_show TEXT: sets __test_shown to the text as one would write it.
__test_show() {
  case $1 in
    *[![:print:]]* | '') printf -v __test_shown %q "$1" ;;
    *) __test_shown="'$1'" ;;
  esac
}

# __test_differ WHAT LABEL EXPECTED ACTUAL
__test_differ() {
  local __test_shown expected
  __test_show "$3"
  expected=$__test_shown
  __test_show "$4"
  __test_fail "${1:+$1$'\n'}$2 $expected"$'\n'"actual:   $__test_shown"
}

fail() { __test_fail "${1:-failed}"; }

skip() {
  local __test_where
  __test_find
  __test_record skip "$__test_where" "${1:-}"
  __test_stage=skipped
  exit 0
}

assert_equal() {
  [ $# -ge 2 ] || { __test_fail "assert_equal EXPECTED ACTUAL [WHAT]: $# words were given" || return; }
  [ "$1" = "$2" ] || __test_differ "${3:-}" "expected:" "$1" "$2"
}

assert_match() {
  [ $# -ge 2 ] || { __test_fail "assert_match PATTERN ACTUAL [WHAT]: $# words were given" || return; }
  # shellcheck disable=SC2053 # a pattern
  [[ $2 == $1 ]] || __test_differ "${3:-}" "pattern: " "$1" "$2"
}

assert_status() {
  [ "${status:-}" = "${1:-}" ] && return 0
  local text="${2:+$2$'\n'}expected: status ${1:-}"$'\n'"actual:   status ${status:-(nothing was run)}"
  [ -z "${output:-}" ] || text=$text$'\n'"it said:  $output"
  __test_fail "$text"
}

assert_output() {
  [ $# -ge 1 ] || { __test_fail "assert_output PATTERN [WHAT]: no pattern was given" || return; }
  # shellcheck disable=SC2053 # a pattern
  [[ ${output:-} == $1 ]] || __test_differ "${2:-output}" "pattern: " "$1" "${output:-}"
}

# run COMMAND [ARG]…: in a subshell that has the same options, `set -e` included.
run() {
  # A run within a run has files of its own.
  local __test_e='' __test_at=$__test_dir/run.$BASH_SUBSHELL
  case $- in *e*) __test_e=1 && set +e ;; esac
  (
    [ -z "$__test_e" ] || set -e
    "$@"
  ) >|"$__test_at.out" 2>|"$__test_at.err"
  status=$?
  { stdout=$(<"$__test_at.out") stderr=$(<"$__test_at.err"); } 2>/dev/null
  output=$stdout
  if [ -n "$stderr" ]; then
    output=${stdout:+$stdout$'\n'}$stderr
  fi
  [ -z "$__test_e" ] || set -e
  return 0
}

# ldi_exec PATH [ARG]…: runs a script of the tree as `ldi exec` does.
ldi_exec() { "$__test_runner" test --tree "$tree" --start -- "$@"; }

stub() {
  local quoted
  printf -v quoted %q "$__test_dir/calls"
  # shellcheck disable=SC2016 # for the stub to expand
  __test_stub "${1:-}" '__call=; [ $# -eq 0 ] || printf -v __call " %q" "$@"
printf "%s%s\n" "${0##*/}" "$__call" >>'"$quoted; unset __call"$'\n'"${2:-}"
}

# __test_stub NAME BODY: one whose calls are not recorded.
__test_stub() {
  case $1 in
    '' | */* | -*) __test_fail "stub NAME [BODY]: '$1' is no name of a command" || return ;;
  esac
  # What a stub does is the test's: it has the commands that the test took away.
  printf '#!%s\nPATH=%q\n. %q\n%s\n' "$BASH" "$work/bin:$__test_path" "$__test_site/stub.sh" "$2" >|"$work/bin/$1" &&
    "$__test_chmod" 755 "$work/bin/$1" && hash -r
}

calls() {
  local line
  [ -e "$__test_dir/calls" ] || return 0
  while IFS= read -r line; do
    case $line in "${1:-}" | "${1:-} "*) printf '%s\n' "$line" ;; *) [ $# -gt 0 ] || printf '%s\n' "$line" ;; esac
  done <"$__test_dir/calls"
}

no_commands() {
  PATH=$work/bin
  hash -r
}

# __test_upper TEXT: sets __test_shown to it in upper case.
__test_upper() {
  local lower=abcdefghijklmnopqrstuvwxyz upper=ABCDEFGHIJKLMNOPQRSTUVWXYZ rest=$1 before char
  __test_shown=
  while [ -n "$rest" ]; do
    char=${rest:0:1} rest=${rest:1}
    before=${lower%%"$char"*}
    [ "$before" = "$lower" ] || char=${upper:${#before}:1}
    __test_shown=$__test_shown$char
  done
}

fact() {
  local __test_shown
  case ${1:-} in
    '' | *[!A-Za-z0-9_]*) __test_fail "fact NAME VALUE: '${1:-}' is no name" || return ;;
  esac
  __test_upper "$1"
  export "LDI_FACT_$__test_shown=${2:-}"
}

# clock TIME: seconds since 1970, or YYYY-MM-DD[THH:MM[:SS]] in UTC.
clock() {
  local text=${1:-} seconds y m d h=0 min=0 s=0
  text=${text%Z}
  case $text in
    '' | *[!0-9T:-]*) __test_fail "clock TIME: '${1:-}' is neither seconds nor YYYY-MM-DD[THH:MM[:SS]]" || return ;;
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*)
      y=${text:0:4} m=$((10#${text:5:2})) d=$((10#${text:8:2}))
      [ ${#text} -lt 13 ] || h=$((10#${text:11:2}))
      [ ${#text} -lt 16 ] || min=$((10#${text:14:2}))
      [ ${#text} -lt 19 ] || s=$((10#${text:17:2}))
      # Days since 1970: years begin in March, so that a leap day is the last of its year.
      y=$((10#$y - (m <= 2)))
      m=$(((m + 9) % 12))
      seconds=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 719469))
      seconds=$((seconds * 86400 + h * 3600 + min * 60 + s))
      ;;
    *[!0-9]*) __test_fail "clock TIME: '${1:-}' is neither seconds nor YYYY-MM-DD[THH:MM[:SS]]" || return ;;
    *) seconds=$text ;;
  esac
  export LDI_TEST_CLOCK=$seconds PYTHONPATH=$__test_site
  __test_stub date "$(<"$__test_site/date.sh")"
}

pretend() {
  case ${1:-} in
    macos) __test_stub sw_vers "$(<"$__test_site/sw_vers.sh")" ;;
    linux) ;;
    *) __test_fail "pretend macos|linux: '${1:-}' is neither" || return ;;
  esac
  export LDI_FACT_OS=$1 LDI_TEST_OS=$1 PYTHONPATH=$__test_site
  __test_stub uname "$(<"$__test_site/uname.sh")"
}

# conf NAME TEXT: a library beside the tree, the same but for this file.
conf() {
  case ${1:-} in
    '' | */* | .*) __test_fail "conf NAME TEXT: '${1:-}' is no name" || return ;;
  esac
  local entry
  if [ ! -d "$work/lib/conf" ]; then
    "$__test_mkdir" -p "$work/lib/conf" || return
    for entry in "$tree"/*; do
      case ${entry##*/} in conf | '*') ;; *) "$__test_ln" -s "$entry" "$work/lib/" ;; esac
    done
    for entry in "$tree"/conf/*; do
      [ ! -e "$entry" ] || "$__test_ln" -s "$entry" "$work/lib/conf/"
    done
  fi
  # Never through a link into the tree.
  "$__test_rm" -f "$work/lib/conf/$1.conf"
  printf %s "${2:-}" >|"$work/lib/conf/$1.conf"
  export LDI_LIB=$work/lib
}
