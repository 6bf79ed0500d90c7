# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

setup() {
  stub id 'case "$*" in -u) echo "${FAKE_UID:-0}" ;; *) echo 1000 ;; esac'
  stub runuser
  stub launchctl
  stub env
  stub osascript
}

test_nobody_is_there() {
  fact console_user none
  run ldi_notify Title Text
  assert_status 1
  assert_output '*nobody is at the console; "Title" was not shown'
  assert_equal "" "$(calls runuser)"
}

test_linux() {
  pretend linux
  fact console_user alice
  run ldi_notify "A title" "-x; \$(touch y)"
  assert_status 0
  assert_match "runuser -u alice -- env DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus notify-send -- *title*touch*" "$(calls runuser)"
}

test_macos() {
  pretend macos
  fact console_user alice
  run ldi_notify Title 'say "hi"'
  assert_status 0
  assert_match "launchctl asuser 1000 sudo -n -u alice -- osascript -e *-- Title *hi*" "$(calls launchctl)"
}

test_the_person_needs_no_root() {
  pretend macos
  fact console_user alice
  FAKE_UID=1000 run ldi_notify Title Text
  assert_status 0
  assert_match "osascript *" "$(calls osascript)"
  assert_equal "" "$(calls launchctl)"
}

test_it_cannot_be_shown() {
  pretend linux
  fact console_user alice
  stub runuser 'echo no bus >&2; exit 1'
  run ldi_notify Title Text
  assert_status 1
  assert_output "*could not be shown to alice"
}

test_dry_run() {
  pretend linux
  fact console_user alice
  LDI_NOOP=1 run ldi_notify Title Text
  assert_status 0
  assert_output "would run: *"
  assert_equal "" "$(calls runuser)"
}

test_two_words() {
  run ldi_notify Title
  assert_status 2
}
