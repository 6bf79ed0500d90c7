# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

setup() { stub logger; }

test_levels() {
  run log_error cannot write "a  file"
  assert_status 0
  assert_equal "error: cannot write a  file" "$stderr"
  assert_equal "" "$stdout" "stdout stays data"
  run log_warning nearly full
  assert_equal "warning: nearly full" "$stderr"
  run log_info "all done"
  assert_equal "info: all done" "$stderr"
  assert_match "*user.err*user.warning*user.info*" "$(calls logger)"
}

test_the_tag_is_the_job() {
  LDI_JOB=daily/recon run log_info "all done"
  assert_match "logger -t daily/recon -p user.info -- *done" "$(calls logger)"
}

test_debug_is_only_heard_when_asked_for() {
  run log_debug details
  assert_equal "" "$output"
  assert_match "*user.debug*details" "$(calls logger)"
  LDI_DEBUG=1 run log_debug details
  assert_equal "debug: details" "$stderr"
}

test_a_message_is_no_option() {
  run log_info -t x
  assert_status 0
  assert_match "*-- *-t*x*" "$(calls logger)"
}

test_without_a_system_log() {
  stub logger 'echo no socket >&2; exit 1'
  run log_error gone
  assert_status 0
  assert_equal "error: gone" "$output"
}
