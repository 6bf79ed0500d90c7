# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

setup() {
  file=$work/com.example.agent.plist
  cat >"$file" <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>com.example.agent</string>
  <key>StartInterval</key><integer>900</integer>
  <key>Ratio</key><real>0.5</real>
  <key>RunAtLoad</key><true/>
  <key>ProgramArguments</key><array><string>/bin/sh</string><string>-c</string></array>
  <key>EnvironmentVariables</key><dict><key>a.b</key><string>dotted</string></dict>
  <key>Seen</key><date>2026-01-02T03:04:05Z</date>
</dict>
</plist>
END
}

needs_python() { type -P python3 >/dev/null || skip "python3 is not here"; }

test_read() {
  needs_python
  assert_equal com.example.agent "$(plist_read "$file" Label)"
  assert_equal 900 "$(plist_read "$file" StartInterval)"
  assert_equal 0.5 "$(plist_read "$file" Ratio)"
  assert_equal true "$(plist_read "$file" RunAtLoad)"
  assert_equal -c "$(plist_read "$file" ProgramArguments:1)"
  assert_equal dotted "$(plist_read "$file" EnvironmentVariables:a.b)"
  assert_equal 2026-01-02T03:04:05Z "$(plist_read "$file" Seen)"
}

test_read_what_is_not_there() {
  needs_python
  for key in Missing ProgramArguments:7 Label:x ProgramArguments EnvironmentVariables ""; do
    run plist_read "$file" "$key"
    assert_status 1 "the key \"$key\""
    assert_equal "" "$stdout"
    case $output in *Traceback*) fail "$output" ;; esac
  done
  run plist_read "$work/missing" x
  assert_status 1
  echo junk >"$work/junk"
  run plist_read "$work/junk" x
  assert_status 1
  assert_output "*is not a property list*"
}

test_write() {
  needs_python
  chmod 600 "$file"
  run plist_write "$file" Label other
  assert_equal "0 " "$status $output"
  run plist_write "$file" StartInterval 60 integer
  run plist_write "$file" RunAtLoad false bool
  run plist_write "$file" New:Deep "a <b> & c"
  run plist_write "$file" ProgramArguments:1 -e
  assert_status 0
  assert_equal "other 60 false -e" "$(for k in Label StartInterval RunAtLoad ProgramArguments:1; do plist_read "$file" "$k"; done | tr '\n' ' ' | sed 's/ $//')"
  assert_equal "a <b> & c" "$(plist_read "$file" New:Deep)"
  assert_equal "$file" "$(find "$file" -perm 600)" "the mode stays"
  run plist_write "$work/new.plist" key value
  assert_equal value "$(plist_read "$work/new.plist" key)"
}

test_write_what_does_not_fit() {
  needs_python
  for words in "StartInterval x integer" "RunAtLoad maybe bool" "Label:x y" "ProgramArguments:9 y" "x y data" "x"; do
    # shellcheck disable=SC2086 # several words
    run plist_write "$file" $words
    assert_match "[12]" "$status" "$words"
    case $output in *Traceback*) fail "$output" ;; esac
  done
  assert_equal 900 "$(plist_read "$file" StartInterval)"
}

test_the_type_counts() {
  needs_python
  run plist_write "$file" StartInterval 900
  assert_match "*<string>900</string>*" "$(cat "$file")"
}

test_dry_run() {
  needs_python
  LDI_NOOP=1 run plist_write "$file" Label other
  assert_equal "0 would set Label of $file to other" "$status $output"
  assert_equal com.example.agent "$(plist_read "$file" Label)"
  LDI_NOOP=1 run plist_write "$file" Label com.example.agent
  assert_equal "0 " "$status $output" "nothing to do"
}

test_macos() {
  pretend macos
  stub plutil 'case "$*" in
    "-type Label "*) echo string ;;
    "-extract Label raw -o - "*) echo com.example.agent ;;
    "-type EnvironmentVariables "*) echo dictionary ;;
    "-type EnvironmentVariables.a\.b "*) echo string ;;
    "-extract EnvironmentVariables.a\.b raw -o - "*) echo dotted ;;
    "-replace "*) ;;
    *) echo "Could not extract value, error: No value at that key path or invalid key path: $2" >&2; exit 1 ;;
  esac'
  stub defaults
  assert_equal com.example.agent "$(plist_read "$file" Label)"
  assert_equal dotted "$(plist_read "$file" EnvironmentVariables:a.b)"
  run plist_read "$file" EnvironmentVariables
  assert_equal 1 "$status"
  run plist_read "$file" Missing
  assert_equal "1 plist_read: $file has no Missing" "$status $output"
  run plist_write "$file" Label com.example.agent
  assert_equal "" "$(calls defaults)" "the same: nothing is written"
  run plist_write "$file" RunAtLoad true bool
  assert_equal "defaults write $file RunAtLoad -bool true" "$(calls defaults)"
  run plist_write "$file" Sockets:Port 80 integer
  assert_match "*plutil -replace Sockets.Port -integer 80 $file*" "$(calls plutil)"
}
