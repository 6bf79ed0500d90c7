# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

setup() {
  stub systemctl 'case "$*" in
    *"-- ssh.service") printf "LoadState=loaded\nActiveState=active\n" ;;
    *"-- stopped.service") printf "LoadState=loaded\nActiveState=inactive\n" ;;
    *"-- failed.service") printf "LoadState=loaded\nActiveState=failed\n" ;;
    *"-- again.service") printf "LoadState=loaded\nActiveState=reloading\n" ;;
    show*) printf "LoadState=not-found\nActiveState=inactive\n" ;;
  esac'
  export LDI_UNIT_DIR=$work/units
  mkdir "$LDI_UNIT_DIR"
}

changes() { calls "$1" | grep -v -e ' show ' -e ' print ' || :; }

test_status_of_systemd() {
  pretend linux
  for pair in ssh:running again:running stopped:stopped failed:stopped none:missing; do
    assert_equal "${pair#*:}" "$(service_status "${pair%:*}.service")" "$pair"
  done
  run service_status ssh.service
  assert_status 0
  run service_status stopped.service
  assert_status 1
}

test_without_systemd() {
  pretend linux
  stub systemctl 'echo "System has not been booted with systemd as init system" >&2; exit 1'
  run service_status ssh.service
  assert_equal "1 unknown" "$status $output"
  stub uname 'echo Linux'
  no_commands
  rm "$work/bin/systemctl" 2>/dev/null || /bin/rm "$work/bin/systemctl"
  run service_start ssh.service
  assert_equal "1 cannot start ssh.service: systemd is not on this machine" "$status $output"
}

test_actions_of_systemd() {
  pretend linux
  service_start a.service
  service_stop a.service
  service_restart a.service
  service_enable a@x.service
  service_disable a.service
  assert_equal "systemctl start -- a.service
systemctl stop -- a.service
systemctl restart -- a.service
systemctl enable -- a@x.service
systemctl disable -- a.service" "$(changes systemctl)"
  stub systemctl 'echo "Unit not found." >&2; exit 5'
  run service_start a.service
  assert_equal "5 Unit not found." "$status $output"
}

test_names() {
  for name in "" -x "a b" 'a;b' ../a; do
    run service_start "$name"
    assert_status 2 "the name \"$name\""
  done
}

test_a_unit_is_installed_once() {
  pretend linux
  echo '[Service]' >"$work/demo.service"
  run service_install "$work/demo.service"
  assert_status 0
  assert_output "*demo.service -> *units/demo.service"
  assert_equal "$LDI_UNIT_DIR/demo.service" "$(find "$LDI_UNIT_DIR/demo.service" -perm 644)"
  assert_equal "systemctl daemon-reload" "$(changes systemctl)"
  run service_install "$work/demo.service"
  assert_equal "0 " "$status $output"
  assert_equal "systemctl daemon-reload" "$(changes systemctl)" "not read again"
}

test_what_is_no_unit() {
  pretend linux
  touch "$work/x.conf" "$work/x.plist"
  for path in "" "$work/x.conf" "$work/x.plist" "$work/none.service"; do
    run service_install "$path"
    assert_status 2 "$path"
  done
}

test_dry_run() {
  pretend linux
  touch "$work/demo.service"
  LDI_NOOP=1 run service_install "$work/demo.service"
  assert_status 0
  assert_output "would replace *would run: systemctl daemon-reload"
  LDI_NOOP=1 run service_start demo.service
  assert_equal "would run: systemctl start -- demo.service" "$output"
  assert_equal "" "$(changes systemctl)$(find "$LDI_UNIT_DIR" -type f)"
}

macos() {
  pretend macos
  stub launchctl 'case "$*" in
    "print system/com.example.on")
      printf "system/com.example.on = {\n\tactive count = 1\n\tpath = /Library/LaunchDaemons/com.example.on.plist\n\ttype = LaunchDaemon\n\tstate = running\n\n\tprogram = /usr/local/bin/x\n}\n" ;;
    "print system/com.example.idle") printf "system/com.example.idle = {\n\tactive count = 0\n\tstate = not running\n}\n" ;;
    print*) echo "Could not find service \"${2#*/}\" in domain for system" >&2; exit 113 ;;
  esac'
}

test_status_of_launchd() {
  macos
  touch "$LDI_UNIT_DIR/com.example.off.plist"
  for pair in on:running idle:stopped off:stopped none:missing; do
    assert_equal "${pair#*:}" "$(service_status "com.example.${pair%:*}")" "$pair"
  done
}

test_actions_of_launchd() {
  macos
  service_start com.example.idle
  service_start com.example.off
  service_stop com.example.on
  service_stop com.example.off
  service_restart com.example.on
  service_restart com.example.off
  service_enable com.example.off
  service_disable com.example.off
  assert_equal "launchctl kickstart system/com.example.idle
launchctl bootstrap system $LDI_UNIT_DIR/com.example.off.plist
launchctl bootout system/com.example.on
launchctl kickstart -k system/com.example.on
launchctl bootstrap system $LDI_UNIT_DIR/com.example.off.plist
launchctl enable system/com.example.off
launchctl disable system/com.example.off" "$(changes launchctl)"
}

test_a_daemon_that_changed_is_unloaded() {
  macos
  echo '<plist/>' >"$work/com.example.on.plist"
  run service_install "$work/com.example.on.plist"
  assert_status 0
  assert_equal "launchctl bootout system/com.example.on" "$(changes launchctl)"
  run service_install "$work/com.example.on.plist"
  assert_equal "launchctl bootout system/com.example.on" "$(changes launchctl)" "the same: it runs on"
}
