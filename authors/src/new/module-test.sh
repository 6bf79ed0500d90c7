# shellcheck shell=bash disable=SC2154 # status and output are set by run

test_@NAME@() {
  assert_equal "hello you" "$(@NAME@ you)"
  run @NAME@
  assert_status 0
  assert_output "hello world"
}
