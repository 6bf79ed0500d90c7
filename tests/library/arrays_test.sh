#!/bin/bash
# work, port and what functions set come from harness.sh and modules; stubs are literal text:
# shellcheck disable=SC2016,SC2154
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"

# shellcheck disable=SC2034 # by name
names=("a b" c '*')
check_status "an element with a blank" 0 is_in_array names "a b"
check_status "an element that looks like a pattern" 0 is_in_array names '*'
check_status "a part of an element" 1 is_in_array names a
# shellcheck disable=SC2034
empty=()
check_status "an empty array" 1 is_in_array empty x
check_status "an unset array" 1 is_in_array not_there x
# shellcheck disable=SC2016 # literal
check_status "code for a name" 2 is_in_array 'x[$(touch '"$work"'/run)]' x
check_equal "code for a name is not run" no "$([ -e "$work/run" ] && echo yes || echo no)"

mkdir "$work/d d"
echo 'order="${order:-}a"' >"$work/d d/a.sh"
echo 'order="${order:-}b"; from_b() { echo b; }' >"$work/d d/b.sh"
echo 'order="${order:-}X"' >"$work/d d/x.sh"
echo 'order="${order:-}T"' >"$work/d d/not.txt"
# shellcheck disable=SC2034
excluded_files=("$work/d d/x.sh")
source_files_in_dir "$work/d d"
check_equal "files are sourced in name order, without the excluded" ab "$order"
check_equal "their functions are there" b "$(from_b)"
mkdir "$work/none"
check_status "an empty folder" 0 source_files_in_dir "$work/none"
check_status "no folder" 1 source_files_in_dir "$work/missing"
finish_tests
