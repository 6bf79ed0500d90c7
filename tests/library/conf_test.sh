#!/bin/bash
# work, port and what functions set come from harness.sh and modules; stubs are literal text:
# shellcheck disable=SC2034,SC2154
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"

# shellcheck disable=SC2016 # literal
printf '%s\n' '# a = comment' 'a = 1' '  b=two words  ' 'c = x=y' 'a = last' 'd =' 'e = $(touch run)' 'no equals' >"$work/lib/conf/t.conf"
printf 'f = crlf\r\ng = no line end' >>"$work/lib/conf/t.conf"
check_equal "the last line wins" last "$(conf_value t a)"
check_equal "blanks are trimmed" "two words" "$(conf_value t b)"
check_equal "an equals sign in a value" x=y "$(conf_value t c)"
check_equal "an empty value" "" "$(conf_value t d)"
# shellcheck disable=SC2016
check_equal "a value is text" '$(touch run)' "$(conf_value t e)"
check_equal "Windows line ends" crlf "$(conf_value t f)"
check_equal "no line end at the end" "no line end" "$(conf_value t g)"
check_equal "an unknown key" "" "$(conf_value t z)"
check_status "no file" 0 conf_value missing a
check_equal "no file: nothing" "" "$(output)"
LDI_LIB=$TREE
check_status "the shipped file" 0 conf_value network corp
finish_tests
