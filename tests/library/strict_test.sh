# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

# What scripts are told to begin with. A word that stumbles over it ends the script early.
script() {
  cat >"$work/script" <<'END'
#!/bin/bash
set -euo pipefail
log_error e
log_warning w
log_info i
log_debug d
for fact in os distname version arch hostname serial model machine_id memory_megabytes cpu_count uptime_seconds console_user; do
  ldi_fact "$fact" >/dev/null || :
done
ldi_secret none || :
ldi_notify Title Text || :
noop true
would change it || :
retry 2 0 true
retry 1 0 false || :
with_lock one true
with_lock one false || :
download https://example.com/x 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 x
sha256 x >/dev/null
ensure_line file line
ensure_line file line
ensure_file other file 600
ensure_file other file 644
diff_replace other file
plist_read missing key || :
service_status some || :
service_start some
service_stop some
service_restart some
service_enable some
service_disable some
service_install "$unit"
package_version some >/dev/null || :
package_installed some || :
LDI_NOOP=1 package_install some
stable fact unknown >/dev/null
stable fact yes >/dev/null
json_string text >/dev/null
jamf_recon
jamf_policy now
is_macos || :
LDI_NOOP=1 set_local_time time.example.com
run_limited 5 true
os_name >/dev/null
memory_megabytes >/dev/null
local_disks >/dev/null
check_internet True
echo reached the end
END
  stub logger
  stub jamf
  stub curl 'while [ $# -gt 0 ]; do case $1 in -o) echo hello >"$2" ;; esac; shift; done'
  export LDI_LOCK_DIR=$work/locks LDI_UNIT_DIR=$work/units unit=$work/$1
  mkdir "$LDI_UNIT_DIR"
  touch "$unit"
  cd "$work" || return 1
  run ldi_exec "$work/script"
  assert_equal "0 reached the end" "$status ${stdout##*$'\n'}"
  case $stderr in *'unbound variable'* | *'command not found'*) fail "$stderr" ;; esac
}

test_nothing_is_given() {
  local name
  for name in logger timedatectl systemctl jamf osascript runuser dpkg-query apt-get; do stub "$name" 'exit 1'; done
  for name in $(declare -F | sed -n 's/^declare -f \([a-z][a-z_0-9]*\)$/\1/p'); do
    case $name in
      # The runner's words, what waits for hours, and what begins with a sync.
      test_* | setup | script | wait_for_* | prep | code_sync | autoinit) continue ;;
      assert_* | fail | skip | run | ldi_exec | stub | calls | no_commands | fact | clock | pretend | conf) continue ;;
    esac
    run bash -uc 'for m in "$0"/modules/*.sh; do . "$m"; done; "$1"' "$tree" "$name"
    case $output in *'unbound variable'*) fail "$name: $output" ;; esac
  done
}

test_linux() {
  pretend linux
  stub systemctl
  # What does not answer, or only in part.
  stub loginctl 'exit 1'
  stub df 'exit 1'
  script some.service
}

test_macos() {
  pretend macos
  stub launchctl
  stub plutil 'exit 1'
  stub defaults
  stub system_profiler
  stub ioreg
  stub sysctl 'exit 1'
  stub vm_stat 'exit 1'
  stub pkgutil 'exit 1'
  stub stat 'echo root'
  script some.plist
}
