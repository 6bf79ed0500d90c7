# shellcheck shell=bash disable=SC2154 # the runner's words

printers="print_red print_lightred print_green print_lightgreen print_yellow"

test_plain_without_a_terminal() {
  local printer
  for printer in $printers; do
    assert_equal "a  b -n %s" "$(IFS=, && "$printer" "a  b" -n %s)" "$printer"
  done
}

# script(1) gives a terminal; util-linux and BSD take the command differently.
on_terminal() {
  if script -qec true /dev/null >/dev/null 2>&1; then
    script -qec "bash '$work/body.sh'" /dev/null </dev/null | tr -d '\r'
  else
    # BSD: an end of input shows as ^D and two backspaces.
    script -q /dev/null bash "$work/body.sh" </dev/null | tr -d '\r\004\010' | sed 's/^^D//'
  fi
}

test_colour_on_a_terminal() {
  script -qec true /dev/null >/dev/null 2>&1 || script -q /dev/null true >/dev/null 2>&1 || skip "script(1) is not installed"
  local printer plain
  echo ". '$tree/modules/print.sh'" >"$work/body.sh"
  for printer in $printers; do
    echo "$printer hello"
  done >>"$work/body.sh"
  plain=$(printf 'hello\n%.0s' 1 2 3 4 5)
  assert_equal $'\033[31mhello\033[0m\n\033[31;1mhello\033[0m\n\033[32mhello\033[0m\n\033[32;1mhello\033[0m\n\033[33;1mhello\033[0m' "$(TERM=xterm on_terminal)"
  assert_equal "$plain" "$(NO_COLOR=1 TERM=xterm on_terminal)" NO_COLOR
  assert_equal "$plain" "$(TERM=dumb on_terminal)" "a dumb terminal"
}
