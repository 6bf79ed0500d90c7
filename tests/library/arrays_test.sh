# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # literal text; by name; the runner's words

test_is_in_array() {
  local names=("a b" c '*') empty=()
  run is_in_array names "a b"
  assert_status 0 "an element with a blank"
  run is_in_array names '*'
  assert_status 0 "an element that looks like a pattern"
  run is_in_array names a
  assert_status 1 "a part of an element"
  run is_in_array empty x
  assert_status 1 "an empty array"
  run is_in_array not_there x
  assert_status 1 "an unset array"
}

test_a_name_is_no_code() {
  run is_in_array 'x[$(touch '"$work"'/run)]' x
  assert_status 2
  [ ! -e "$work/run" ] || fail "it was run"
}

test_source_files_in_dir() {
  mkdir "$work/d d"
  echo 'order="${order:-}a"' >"$work/d d/a.sh"
  echo 'order="${order:-}b"; from_b() { echo b; }' >"$work/d d/b.sh"
  echo 'order="${order:-}X"' >"$work/d d/x.sh"
  echo 'order="${order:-}T"' >"$work/d d/not.txt"
  local excluded_files=("$work/d d/x.sh") order=
  source_files_in_dir "$work/d d"
  assert_equal ab "$order" "files are sourced in name order, without the excluded"
  assert_equal b "$(from_b)" "their functions are there"
}

test_source_files_in_dir_without_files() {
  mkdir "$work/none"
  run source_files_in_dir "$work/none"
  assert_status 0 "an empty folder"
  run source_files_in_dir "$work/missing"
  assert_status 1 "no folder"
}
