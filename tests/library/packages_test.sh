# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

only() { # no other package manager of this machine is seen
  local name
  for name in bash cat awk; do ln -s "$(type -P "$name")" "$work/bin/$name"; done
  no_commands
}

test_debian() {
  pretend linux
  stub dpkg-query 'case "$*" in
    *"-- curl") echo "installed 7.88.1-10+deb12u5" ;;
    *"-- gone") echo "config-files 1.0-1" ;;
    *"-- two") printf "config-files 1.0\ninstalled 2.0\n" ;;
    *) echo "dpkg-query: no packages found matching $4" >&2; exit 1 ;;
  esac'
  stub env 'exit 0'
  only
  assert_equal 7.88.1-10+deb12u5 "$(package_version curl)"
  assert_equal 2.0 "$(package_version two)"
  run package_version gone
  assert_equal "1 " "$status $output" "removed, its settings left"
  run package_installed curl
  assert_equal "0 " "$status $output"
  run package_installed none
  assert_equal "1 " "$status $output"
  run package_install curl none gone
  assert_status 0
  assert_equal "env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install -- none gone" "$(calls env)"
  run package_install curl
  assert_match "env *none gone" "$(calls env)" "nothing more to install"
}

test_fedora() {
  pretend linux
  stub rpm 'case "$*" in *"-- kernel") printf "6.6.8-200.fc39\n6.7.3-200.fc39\n" ;; *) echo "package $5 is not installed"; exit 1 ;; esac'
  stub dnf
  only
  assert_equal 6.7.3-200.fc39 "$(package_version kernel)" "of several the newest"
  run package_install kernel vim
  assert_equal "dnf -q -y install vim" "$(calls dnf)"
}

test_arch() {
  pretend linux
  stub pacman 'case "$*" in "-Q -- bash") echo "bash 5.2.026-2" ;; -Q*) echo "error: package was not found" >&2; exit 1 ;; esac'
  only
  assert_equal 5.2.026-2 "$(package_version bash)"
  run package_install bash vim
  assert_status 0
  assert_match "*pacman -S --noconfirm --needed -- vim" "$(calls pacman)"
}

test_macos() {
  pretend macos
  stub pkgutil 'case $2 in
    com.example.pkg.tool) cat <<END
package-id: com.example.pkg.tool
version: 2.1.0
volume: /
location: /
install-time: 1700000000
END
    ;;
    *) echo "No receipt for '"'"'$2'"'"' found at '"'"'/'"'"'." >&2; exit 1 ;;
  esac'
  assert_equal 2.1.0 "$(package_version com.example.pkg.tool)"
  run package_installed com.example.other
  assert_status 1
  LDI_NOOP=1 run package_install "$work/a tool.pkg"
  assert_match "would run: /usr/sbin/installer -pkg *tool.pkg -target /" "$output"
}

test_names() {
  for name in "" -y "a b" 'a;b' ../a; do
    run package_version "$name"
    assert_status 2 "the name \"$name\""
    run package_install "$name"
    assert_match "[12]" "$status" "the name \"$name\""
  done
}

test_dry_run() {
  pretend linux
  stub rpm 'exit 1'
  stub dnf
  only
  LDI_NOOP=1 run package_install vim
  assert_equal "0 would run: dnf -q -y install vim" "$status $output"
  assert_equal "" "$(calls dnf)"
}

test_no_manager_that_is_known() {
  pretend linux
  only
  run package_version curl
  assert_status 1
  assert_output "*no package manager that is known*"
  run package_install curl
  assert_status 1
}
