# shellcheck shell=bash disable=SC2154 # the runner's words

setup() {
  repo="$work/re po.conf" local="$work/lo cal.conf"
  echo new >"$repo"
}

mode() { stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1"; }

test_no_local_file() {
  run diff_replace "$local" "$repo"
  assert_status 0
  assert_equal new "$(cat "$local")" "it is made"
  assert_equal 644 "$(mode "$local")" "its mode"
  [ ! -e "$local.code.bak" ] || fail "a backup of nothing"
  assert_output "*re po.conf -> *lo cal.conf"
}

test_the_same() {
  cp "$repo" "$local"
  run diff_replace "$local" "$repo"
  assert_status 0
  assert_output ""
}

test_different() {
  echo edited >"$local"
  chmod 600 "$local"
  run diff_replace "$local" "$repo"
  assert_status 0
  assert_equal new "$(cat "$local")" replaced
  assert_equal edited "$(cat "$local.code.bak")" "the old one is kept"
  assert_equal 644 "$(mode "$local")" "its mode"
}

test_no_repo_file() {
  echo old >"$local"
  run diff_replace "$local" "$work/missing"
  assert_status 1
  assert_output "$work/missing does not exist"
  assert_equal old "$(cat "$local")" untouched
}

test_a_symbolic_link() {
  mkdir "$work/real"
  echo old >"$work/real/f"
  ln -s real/f "$work/link"
  run diff_replace "$work/link" "$repo"
  assert_status 0
  assert_equal real/f "$(readlink "$work/link")" "the link stays"
  assert_equal new "$(cat "$work/real/f")" "its file is replaced"
  assert_equal old "$(cat "$work/link.code.bak")" "the backup lies beside the name given"
}

test_a_link_planted_at_the_name_of_the_backup() {
  echo victim >"$work/victim"
  echo old >"$work/planted"
  ln -s "$work/victim" "$work/planted.code.bak"
  run diff_replace "$work/planted" "$repo"
  assert_status 0
  assert_equal victim "$(cat "$work/victim")" "is not written through"
}

test_what_is_refused() {
  ln -s "$work/loop" "$work/loop"
  run diff_replace "$work/loop" "$repo"
  assert_status 1 "a loop of links"
  mkdir "$work/folder"
  run diff_replace "$work/folder" "$repo"
  assert_status 1 "a folder"
  run diff_replace
  assert_status 1 "no arguments"
}

teardown() { assert_equal "" "$(find "$work" -name '.diff_replace*')" "nothing is left behind"; }
