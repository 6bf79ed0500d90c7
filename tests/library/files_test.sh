#!/bin/bash
# shellcheck disable=SC2154 # work, port and what functions set come from harness.sh and modules
# shellcheck source=harness.sh
. "$(dirname "$0")/harness.sh"

mode() { stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1"; }

repo="$work/re po.conf" local="$work/lo cal.conf"
echo new >"$repo"
check_status "no local file" 0 diff_replace "$local" "$repo"
check_equal "it is made" new "$(cat "$local")"
check_equal "mode 644" 644 "$(mode "$local")"
check_equal "no backup of nothing" no "$([ -e "$local.code.bak" ] && echo yes || echo no)"
check_match "it says what it did" "*re po.conf -> *lo cal.conf" "$(output)"

check_status "the same" 0 diff_replace "$local" "$repo"
check_equal "the same: silent" "" "$(output)"

echo edited >"$local"
chmod 600 "$local"
check_status "different" 0 diff_replace "$local" "$repo"
check_equal "replaced" new "$(cat "$local")"
check_equal "the old one is kept" edited "$(cat "$local.code.bak")"
check_equal "mode 644 again" 644 "$(mode "$local")"

check_status "no repo file" 1 diff_replace "$local" "$work/missing"
check_equal "no repo file: message" "$work/missing does not exist" "$(output)"
check_equal "no repo file: untouched" new "$(cat "$local")"

mkdir "$work/real"
echo old >"$work/real/f"
ln -s real/f "$work/link"
check_status "a symbolic link" 0 diff_replace "$work/link" "$repo"
check_equal "the link stays" real/f "$(readlink "$work/link")"
check_equal "its file is replaced" new "$(cat "$work/real/f")"
check_equal "the backup lies beside the name given" old "$(cat "$work/link.code.bak")"

echo victim >"$work/victim"
echo old >"$work/planted"
ln -s "$work/victim" "$work/planted.code.bak"
check_status "a link planted at the backup's name" 0 diff_replace "$work/planted" "$repo"
check_equal "is not written through" victim "$(cat "$work/victim")"

ln -s "$work/loop" "$work/loop"
check_status "a loop of links" 1 diff_replace "$work/loop" "$repo"
check_status "a folder" 1 diff_replace "$work/real" "$repo"
check_status "no arguments" 1 diff_replace
check_equal "nothing is left behind" "" "$(find "$work" -name '.diff_replace*')"
finish_tests
