#!/bin/bash
# shellcheck disable=SC2154 # work, port and what functions set come from harness.sh and modules
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"

for color in red lightred green lightgreen yellow; do
  check_equal "print_$color, no terminal: plain" "a  b -n %s" "$(IFS=,; "print_$color" "a  b" -n %s)"
done

# A terminal: script(1) gives one; its options differ by system.
if script -qec true /dev/null >/dev/null 2>&1; then
  on_terminal() { script -qec "$1" /dev/null </dev/null | tr -d '\r'; }
  body=". '$TREE/modules/print.sh'; print_red hello; print_lightred hello; print_green hello; print_lightgreen hello; print_yellow hello"
  export TERM=xterm
  unset NO_COLOR
  check_equal "on a terminal: colour" $'\033[31mhello\033[0m\n\033[31;1mhello\033[0m\n\033[32mhello\033[0m\n\033[32;1mhello\033[0m\n\033[33;1mhello\033[0m' "$(on_terminal "bash -c \"$body\"")"
  check_equal "NO_COLOR on a terminal" hello "$(NO_COLOR=1 on_terminal "bash -c \". '$TREE/modules/print.sh'; print_red hello\"")"
  check_equal "a dumb terminal" hello "$(TERM=dumb on_terminal "bash -c \". '$TREE/modules/print.sh'; print_red hello\"")"
elif [ "${CI:-}" = true ]; then
  check_equal "script(1) of util-linux, for a terminal" installed missing
else
  echo "print_test.sh: script(1) of util-linux is missing: colour on a terminal is not tested"
fi
finish_tests
