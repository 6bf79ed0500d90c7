# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

# Scripts as they were written for IT-CPE; docs/moving.md says that they run unmodified.
setup() {
  cat >"$work/update_motd.sh" <<'END'
#!/bin/bash
Version="1.2"

# Initialize the environment
[ -z $autoinit ] && { . /Library/code/lib/modules/autoinit.sh; autoinit; }

greet_everybody () {
  echo "hello $1, hello $2"
}

prep

check_corp
if [ "$check_corp" == "True" ]; then
  echo "at work"
else
  echo "elsewhere"
fi
check_internet "True"
[ $check_internet == "True" ] && echo "on line"

excluded_files=( "$lib/a.sh" "$lib/b c.sh" )
is_in_array excluded_files "$lib/b c.sh" && echo "excluded"

diff_replace "$HOME/motd" "$HOME/repo_motd"
wait_for_corp greet_everybody Ann "Bob B."
print_green "all is well"
finish
END
  echo welcome >"$HOME/repo_motd"
  # As in a tier: it was synced already.
  export LDI_RUN=1
}

test_bash() {
  conf network 'corp = http://127.0.0.1:1/'
  stub curl 'printf 204'
  run ldi_exec "$work/update_motd.sh"
  assert_status 0
  assert_equal "" "$stderr"
  assert_match "update_motd.sh ran on [01][0-9]-[0-3][0-9]-2[0-9][0-9][0-9] [0-2][0-9]:[0-5][0-9]
Version 1.2
at work
on line
excluded
* $HOME/repo_motd -> $HOME/motd
hello Ann, hello Bob B.
all is well" "$stdout"
  assert_equal welcome "$(cat "$HOME/motd")"
}

test_bash_where_corp_is_not() {
  conf network 'corp = http://127.0.0.1:1/'
  stub curl 'printf 000; exit 7'
  LDI_WAIT_DEADLINE=0 run ldi_exec "$work/update_motd.sh"
  assert_output "*elsewhere*gave up waiting for corp*greet_everybody was not run*"
}

test_python() {
  cat >"$work/report.py" <<'END'
#!/usr/bin/python3
import fs_tools
import shell_tools
import sys_tools

answer = shell_tools.run("echo 'hello world'")
if not answer["success"]:
    raise Exception(answer["stderr"])
print(answer["stdout"])
folder = fs_tools.mktempdir()
fs_tools.write_file(folder + "/x", "1")
fs_tools.copy(folder, folder + "2")
print(fs_tools.read_file(folder + "2/x"))
fs_tools.remove(folder + "*")
print(sys_tools.get_shard(serial="C02ABC", salt="chrome", chunks=100) < 100)
END
  run ldi_exec "$work/report.py"
  assert_equal "0 hello world
1
True" "$status $output"
}
