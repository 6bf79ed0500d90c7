# shellcheck shell=bash disable=SC2154 # status and output are set by run

test_@NAME@() {
  stub uname 'echo some-host'
  run ldi_exec @PATH@
  assert_status 0
  assert_output "@NAME@: this is some-host"
}
