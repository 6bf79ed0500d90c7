# shellcheck shell=bash disable=SC2154 # status and output are set by run

test_@NAME@() {
  stub uname 'echo 6.1.0'
  run ldi_exec @PATH@
  assert_status 0
  assert_output '{"kernel": "6.1.0"}'
}

test_@NAME@_unknown() {
  stub uname 'exit 1'
  run ldi_exec @PATH@
  assert_status 0
  assert_output '{"kernel": "unknown"}'
}
