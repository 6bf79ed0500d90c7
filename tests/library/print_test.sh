#!/bin/bash
# shellcheck disable=SC2154 # work, port and what functions set come from harness.sh and modules
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"

for printer in print_red print_lightred print_green print_lightgreen print_yellow; do
  check_equal "$printer, no terminal: plain" "a  b -n %s" "$(IFS=,; "$printer" "a  b" -n %s)"
done

# A terminal: script(1) gives one; util-linux and BSD take the command differently.
for printer in print_red print_lightred print_green print_lightgreen print_yellow; do
  echo "$printer hello"
done >"$work/calls"
echo ". '$TREE/modules/print.sh'; . '$work/calls'" >"$work/body.sh"
if script -qec true /dev/null >/dev/null 2>&1; then
  on_terminal() { script -qec "bash '$work/body.sh'" /dev/null </dev/null | tr -d '\r'; }
elif script -q /dev/null true >/dev/null 2>&1; then
  # BSD: an end of input shows as ^D and two backspaces.
  on_terminal() { script -q /dev/null bash "$work/body.sh" </dev/null | tr -d '\r\004\010' | sed 's/^^D//'; }
fi
plain=$(printf 'hello\n%.0s' 1 2 3 4 5)
if type on_terminal >/dev/null 2>&1; then
  unset NO_COLOR
  check_equal "on a terminal: colour" $'\033[31mhello\033[0m\n\033[31;1mhello\033[0m\n\033[32mhello\033[0m\n\033[32;1mhello\033[0m\n\033[33;1mhello\033[0m' "$(TERM=xterm on_terminal)"
  check_equal "NO_COLOR on a terminal" "$plain" "$(NO_COLOR=1 TERM=xterm on_terminal)"
  check_equal "a dumb terminal" "$plain" "$(TERM=dumb on_terminal)"
elif [ "${CI:-}" = true ]; then
  check_equal "script(1), for a terminal" installed missing
else
  echo "print_test.sh: script(1) is missing: colour on a terminal is not tested"
fi
finish_tests
