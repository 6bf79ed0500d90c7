# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

test_recon() {
  stub jamf 'echo inventory; exit 3'
  run jamf_recon -realname "A Person"
  assert_equal "3 inventory" "$status $output"
  assert_match "jamf recon -realname *A*Person*" "$(calls jamf)"
}

test_policy() {
  stub jamf
  run jamf_policy
  run jamf_policy on-call
  assert_equal "jamf policy
jamf policy -event on-call" "$(calls jamf)"
}

test_it_is_not_here() {
  type -P jamf >/dev/null && skip "jamf is here"
  run jamf_recon
  assert_status 1
  assert_output "jamf is not on this machine*"
}

test_dry_run() {
  stub jamf
  LDI_NOOP=1 run jamf_recon
  assert_equal "0 would run: jamf recon" "$status $output"
  assert_equal "" "$(calls jamf)"
}
