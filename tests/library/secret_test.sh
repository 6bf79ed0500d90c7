# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

test_it_is_read_once() {
  # As the daemon gives it: a pipe, and the number of its descriptor.
  exec 8< <(printf 'open sesame\n')
  export LDI_SECRET_WIFI_PSK_FD=8
  run ldi_secret wifi_psk
  assert_status 0
  assert_equal "open sesame" "$stdout"
  run ldi_secret wifi_psk
  assert_status 1
  assert_equal "ldi_secret: wifi_psk was read before; keep it in a variable" "$output"
  exec 8<&-
  run ldi_secret wifi_psk
  assert_equal "1 ldi_secret: wifi_psk was read before; keep it in a variable" "$status $output" "the pipe is closed"
}

test_it_was_not_given() {
  run ldi_secret wifi_psk
  assert_status 1
  assert_output '*secrets = \["wifi_psk"\]*'
  export LDI_SECRET_WIFI_PSK_FD="8; touch x"
  run ldi_secret wifi_psk
  assert_status 1 "a number only"
}

test_a_name() {
  for name in "" "a-b" "a b" 'a$(x)'; do
    run ldi_secret "$name"
    assert_status 2 "the name \"$name\""
  done
}
