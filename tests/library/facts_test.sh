# shellcheck shell=bash disable=SC2016,SC2154 # stubs are literal text; the runner's words

test_human_duration() {
  assert_equal "1 day 02:03" "$(human_duration 93784)" days
  assert_equal "00:01" "$(human_duration 65)" minutes
  assert_equal "400 days 00:00" "$(human_duration 34560000)" many
  assert_equal unknown "$(human_duration unknown)" unknown
}

test_local_disks() {
  stub df 'printf "%s\n" "Filesystem 1024-blocks Used Available Capacity Mounted on" "/dev/sda1 1000000 900000 102400 91% /" "tmpfs 1 1 0 100% /run" "/dev/loop3 1 1 0 100% /snap/x" "/dev/sda1 1000000 900000 102400 91% /" "/dev/disk3s6 1 1 20480 1% /System/Volumes/VM" "/dev/disk4s1 1 1 20480 5% /Volumes/My Disk"'
  assert_equal "91 100 /"$'\n'"5 20 /Volumes/My Disk" "$(local_disks)"
}

test_linux() {
  [ "$(uname -s)" = Linux ] || skip "facts of Linux"
  assert_match "?*" "$(os_name)" os_name
  assert_match "[0-9]*" "$(uptime_seconds)" uptime_seconds
  assert_match "[0-9]*.* [0-9]*.* [0-9]*.*" "$(load_average)" load_average
  assert_match "[0-9]* [0-9]*" "$(memory_megabytes)" memory_megabytes
}

test_cpu_count() { assert_match "[1-9]*" "$(cpu_count)"; }

test_macos() {
  pretend macos
  assert_equal "macOS 14.6" "$(os_name)" os_name
  stub sysctl 'case $2 in
kern.boottime) echo "{ sec = 1700000000, usec = 581374 } Tue Nov 14 22:13:20 2023" ;;
vm.loadavg) echo "{ 1.50 1.60 1.70 }" ;;
hw.memsize) echo 17179869184 ;; esac'
  clock 1700000100
  assert_equal 100 "$(uptime_seconds)" uptime_seconds
  assert_equal "1.50 1.60 1.70" "$(load_average)" load_average
  stub vm_stat 'cat <<END
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                                4096.
Pages active:                            200000.
Pages inactive:                          190000.
Pages wired down:                         64000.
Pages purgeable:                           1000.
Pages stored in compressor:               90000.
Pages occupied by compressor:             56000.
END'
  assert_equal "5000 16384" "$(memory_megabytes)" memory_megabytes
}

test_macos_unknown() {
  pretend macos
  stub sysctl 'exit 1'
  stub vm_stat
  assert_equal "unknown unknown" "$(memory_megabytes)" memory_megabytes
  assert_equal unknown "$(uptime_seconds)" uptime_seconds
}
