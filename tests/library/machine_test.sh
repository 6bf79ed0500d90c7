# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

facts="os distname version arch hostname serial model machine_id memory_megabytes cpu_count uptime_seconds console_user"

test_every_fact_answers() {
  local name
  for name in $facts; do
    run ldi_fact "$name"
    case $status in
      0) assert_match "?*" "$stdout" "$name" ;;
      1) assert_match "@(unknown|none)" "$stdout" "$name" ;;
      *) fail "$name ended with $status: $output" ;;
    esac
    assert_equal "" "$stderr" "$name complains"
  done
}

test_no_command_is_there() {
  local name
  no_commands
  for name in serial model machine_id console_user; do
    run ldi_fact "$name"
    case $status in 0 | 1) ;; *) fail "$name ended with $status: $output" ;; esac
  done
}

test_under_strict_options() {
  run bash -euo pipefail -c '. "$0/modules/machine.sh"; . "$0/modules/facts.sh"; for f in $1; do ldi_fact "$f" || :; done' "$tree" "$facts"
  assert_status 0
  assert_equal 12 "$(printf '%s\n' "$stdout" | grep -c .)" "a line each"
}

test_a_fact_can_be_set() {
  fact serial C02TEST
  fact memory_megabytes 8192
  run ldi_fact serial
  assert_equal C02TEST "$output"
  run ldi_fact memory_megabytes
  assert_equal 8192 "$output"
  fact serial unknown
  run ldi_fact serial
  assert_status 1
  assert_equal unknown "$output"
}

test_another_name_is_refused() {
  run ldi_fact colour
  assert_status 2
  assert_output '*"colour" is not a fact*'
}

test_macos() {
  pretend macos
  stub sw_vers 'case $1 in -productVersion) echo 14.5 ;; *) echo macOS ;; esac'
  stub system_profiler 'cat <<END
Hardware:

    Hardware Overview:

      Model Name: MacBook Pro
      Model Identifier: Mac14,7
      Chip: Apple M2
      Serial Number (system): C02XL0THJHD4
      Hardware UUID: 01234567-89AB-CDEF-0123-456789ABCDEF

END'
  stub ioreg 'cat <<END
+-o J493AP  <class IOPlatformExpertDevice, id 0x100000215, registered, matched, active, busy 0 (2 ms), retain 37>
    {
      "IOPolledInterface" = "AppleARMWatchdogTimerHibernateHandler is not serializable"
      "IOPlatformUUID" = "01234567-89AB-CDEF-0123-456789ABCDEF"
      "IOPlatformSerialNumber" = "C02XL0THJHD4"
    }
END'
  stub stat 'echo alice'
  assert_equal macOS "$(ldi_fact distname)"
  assert_equal 14.5 "$(ldi_fact version)"
  assert_equal "MacBook Pro" "$(ldi_fact model)"
  assert_equal C02XL0THJHD4 "$(ldi_fact serial)"
  assert_equal 01234567-89AB-CDEF-0123-456789ABCDEF "$(ldi_fact machine_id)"
  assert_equal alice "$(ldi_fact console_user)"
  stub stat 'echo root'
  run ldi_fact console_user
  assert_status 1 "the log-in window is nobody"
  assert_equal none "$output"
  run is_macos
  assert_status 0
}

test_console_user_of_linux() {
  pretend linux
  stub loginctl 'case $1 in show-seat) echo 2 ;; *) printf "Name=alice\nClass=user\n" ;; esac'
  assert_equal alice "$(ldi_fact console_user)"
  stub loginctl 'case $1 in show-seat) echo c1 ;; *) printf "Name=gdm\nClass=greeter\n" ;; esac'
  assert_equal none "$(ldi_fact console_user)"
  stub loginctl 'exit 0'
  assert_equal none "$(ldi_fact console_user)"
  stub loginctl 'echo "System has not been booted with systemd" >&2; exit 1'
  assert_equal unknown "$(ldi_fact console_user)"
}

test_arch_has_one_name_everywhere() {
  stub uname 'case ${1:-} in -m) echo arm64 ;; *) echo Darwin ;; esac'
  assert_equal aarch64 "$(ldi_fact arch)"
  stub uname 'case ${1:-} in -m) echo amd64 ;; *) echo FreeBSD ;; esac'
  assert_equal x86_64 "$(ldi_fact arch)"
  assert_equal freebsd "$(ldi_fact os)"
}
