# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

test_a_setting_that_is_not_there() {
  conf mail 'folder =
queue = /srv/queue'
  assert_equal /var/mail "$(conf_value mail folder /var/mail)" "an empty value is none"
  assert_equal /srv/queue "$(conf_value mail queue /var/spool)"
  assert_equal "a  b" "$(conf_value mail nothing "a  b")"
  assert_equal x "$(conf_value no_such_file key x)"
  run conf_value mail nothing
  assert_equal "0 " "$status $output"
}
