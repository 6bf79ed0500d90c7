# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

mode() { find "$1" -prune -perm "$2" | grep -q .; }

setup() { file=$work/etc\ file; }

test_a_line_is_added_once() {
  printf 'one\ntwo' >"$file"
  chmod 640 "$file"
  run ensure_line "$file" "two words"
  assert_status 0
  assert_output "*line added to $file"
  assert_equal "one
two
two words" "$(cat "$file")" "the last line had no end"
  mode "$file" 640 || fail "the mode did not stay"
  assert_equal "one
two" "$(cat "$file.code.bak")" "the old content is kept"
  run ensure_line "$file" "two words"
  assert_equal "0 " "$status $output" "a second time"
}

test_a_line_that_is_part_of_another() {
  echo "PermitRootLogin no # yes" >"$file"
  run ensure_line "$file" "PermitRootLogin no"
  assert_equal 2 "$(grep -c . "$file")"
  run ensure_line "$file" ".*"
  assert_equal 3 "$(grep -c . "$file")" "a line is no pattern"
}

test_a_file_for_a_line() {
  run ensure_line "$file" -n
  assert_status 0
  assert_equal -n "$(cat "$file")"
  mode "$file" 644 || fail "the mode is not 644"
  [ ! -e "$file.code.bak" ] || fail "a backup of nothing"
}

test_a_line_through_a_link() {
  echo one >"$work/real"
  ln -s real "$work/link"
  run ensure_line "$work/link" two
  assert_equal real "$(readlink "$work/link")"
  assert_equal "one two" "$(tr '\n' ' ' <"$work/real" | sed 's/ $//')"
}

test_what_is_no_line() {
  run ensure_line "$file" ""
  assert_status 2
  run ensure_line "$file" "a
b"
  assert_status 2
  run ensure_line
  assert_status 2
  mkdir "$work/folder"
  run ensure_line "$work/folder" x
  assert_status 1
}

test_a_file_as_it_should_be() {
  echo new >"$work/from"
  run ensure_file "$file" "$work/from" 600
  assert_status 0
  assert_output "*$work/from -> $file"
  mode "$file" 600 || fail "the mode is not 600"
  run ensure_file "$file" "$work/from" 600 "$(id -un):$(id -gn)"
  assert_equal "0 " "$status $output" "as it should be: silent"
  echo other >"$file"
  run ensure_file "$file" "$work/from" 600
  assert_equal "new other" "$(cat "$file") $(cat "$file.code.bak")"
}

test_only_the_mode_differs() {
  echo new >"$work/from"
  echo new >"$file"
  echo precious >"$file.code.bak"
  run ensure_file "$file" "$work/from" 4755
  assert_status 0
  mode "$file" 4755 || fail "the mode is not 4755"
  assert_equal precious "$(cat "$file.code.bak")" "the backup of another content stays"
}

test_the_owner() {
  [ "$(id -u)" -eq 0 ] || skip "only root gives files away"
  echo new >"$work/from"
  run ensure_file "$file" "$work/from" 640 daemon:daemon
  assert_status 0
  assert_equal "$file" "$(find "$file" -user daemon -group daemon)"
  run ensure_file "$file" "$work/from" 640 :daemon
  assert_equal "0 " "$status $output" "the group only"
  run ensure_file "$file" "$work/from" 644
  assert_equal "$file" "$(find "$file" -user daemon -perm 644)" "no owner named: it stays"
  run ensure_file "$file" "$work/from" 644 no-such-account
  assert_status 1
  assert_equal "$file" "$(find "$file" -user daemon -perm 644)" "and stays as it is"
  assert_equal "" "$(find "$work" -name '.diff_replace*')" "nothing is left behind"
}

test_wrong_words() {
  echo new >"$work/from"
  run ensure_file "$file"
  assert_status 2
  run ensure_file "$file" "$work/from" u+x
  assert_status 2
  run ensure_file "$file" "$work/missing"
  assert_status 1
  [ ! -e "$file" ] || fail "a file was made"
}

test_dry_run() {
  echo new >"$work/from"
  echo old >"$file"
  LDI_NOOP=1 run ensure_file "$file" "$work/from"
  assert_equal "0 old" "$status $(cat "$file")"
  assert_output "would replace $file *"
  LDI_NOOP=1 run ensure_line "$file" x
  assert_equal "0 old" "$status $(cat "$file")"
  LDI_NOOP=1 run diff_replace "$file" "$work/from"
  assert_equal "0 old" "$status $(cat "$file")"
  [ ! -e "$file.code.bak" ] || fail "a backup was made"
}
