# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # stubs are text; status, output, work… are the runner's

hash_of_hello=5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03

setup() {
  # curl's arguments are recorded; what it fetches is what $work/answer holds.
  stub curl 'while [ $# -gt 0 ]; do case $1 in -o) cat "$HOME/answer" >"$2"; exit ;; esac; shift; done'
  HOME=$work
  export HOME
  echo hello >"$work/answer"
  file=$work/a\ file
}

test_it_is_fetched_and_verified() {
  run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 0
  assert_equal "" "$output"
  assert_equal hello "$(cat "$file")"
  assert_match "-rw-r--r--*" "$(find "$file" -exec ls -l {} \;)"
  assert_match "curl -q -sSfLg --proto =https --proto-redir =https *https://example.com/x" "$(calls curl)"
}

test_nothing_is_fetched_twice() {
  echo hello >"$file"
  run download https://example.com/x "$(echo "$hash_of_hello" | tr a-f A-F)" "$file"
  assert_status 0
  assert_equal "" "$(calls curl)"
}

test_another_content_never_gets_the_name() {
  echo old >"$file"
  echo evil >"$work/answer"
  run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 1
  assert_output "*has SHA-256 *, not $hash_of_hello; $file was left as it was"
  assert_equal old "$(cat "$file")"
  assert_equal "" "$(find "$work" -name '.download*')" "nothing is left behind"
}

test_it_cannot_be_fetched() {
  stub curl 'echo "curl: (22) 404" >&2; exit 22'
  run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 1
  assert_output "*404*could not be fetched*"
  [ ! -e "$file" ] || fail "a file was made"
}

test_a_server_that_sends_more_than_may_be() {
  stub curl 'while [ $# -gt 0 ]; do case $1 in -o) exec dd if=/dev/zero of="$2" bs=65536 count=64 2>/dev/null ;; esac; shift; done'
  LDI_DOWNLOAD_MEGABYTES=1 run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 1
  assert_output "*more than 1 MB*"
  assert_equal "" "$(find "$work" -name '.download*')"
}

test_only_https_and_this_machine() {
  local url
  for url in http://example.com/x ftp://example.com/x file:///etc/passwd http://localhost.example.com/ \
    http://127.0.0.1@example.com/ http://user@localhost:1/ "https://a b" "" -o; do
    run download "$url" "$hash_of_hello" "$file"
    assert_status 2 "$url"
  done
  assert_equal "" "$(calls curl)"
  for url in http://localhost/x http://127.0.0.1:8080/x 'http://[::1]:80/x'; do
    rm -f "$file"
    run download "$url" "$hash_of_hello" "$file"
    assert_status 0 "$url"
  done
  assert_match "*--proto =http*,https *" "$(calls curl)"
}

test_what_is_no_hash() {
  for hash in "" abc "${hash_of_hello}0" "${hash_of_hello%3}x"; do
    run download https://example.com/x "$hash" "$file"
    assert_status 2 "the hash \"$hash\""
  done
}

test_a_folder_is_no_file() {
  run download https://example.com/x "$hash_of_hello" "$work"
  assert_status 1
  assert_output "*is a folder*"
}

test_dry_run() {
  LDI_NOOP=1 run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 0
  assert_equal "would download https://example.com/x to $file" "$stderr"
  [ ! -e "$file" ] || fail "it was fetched"
}

test_without_curl() {
  local name
  for name in bash cat chmod dirname mktemp mv rm sha256sum shasum tr; do
    ! type -P "$name" >/dev/null || ln -s "$(type -P "$name")" "$work/bin/$name"
  done
  rm "$work/bin/curl"
  no_commands
  run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 1
  assert_output "*neither curl nor wget nor python3*"
  stub wget 'while [ $# -gt 0 ]; do case $1 in -O) exec cat "$HOME/answer" >"$2" ;; esac; shift; done'
  run download https://example.com/x "$hash_of_hello" "$file"
  assert_status 0
  assert_equal hello "$(cat "$file")"
}

test_from_a_real_server() {
  local name by url
  type -P python3 >/dev/null || skip "python3 is not here"
  cp "$work/answer" "$work/x"
  python3 -u -c 'import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.HTTPServer(("127.0.0.1", 0), handler)
print(server.server_port)
server.serve_forever()' "$work" >"$work/port" 2>/dev/null &
  server=$!
  until [ -s "$work/port" ]; do sleep 0.05; done
  url=http://127.0.0.1:$(cat "$work/port")
  export no_proxy='*'
  rm "$work/bin/curl"
  # One after the other is the only one that can fetch.
  for by in curl wget python3; do
    type -P "$by" >/dev/null || continue
    mkdir "$work/$by"
    for name in bash chmod dirname mktemp mv rm sha256sum shasum tr "$by"; do
      ! type -P "$name" >/dev/null || ln -s "$(type -P "$name")" "$work/$by/$name"
    done
    PATH=$work/$by run download "$url/x" "$hash_of_hello" "$file"
    assert_equal "0 hello" "$status $(cat "$file")" "$by"
    rm "$file"
    PATH=$work/$by run download "$url/missing" "$hash_of_hello" "$file"
    assert_status 1 "$by: what is not there"
    assert_output "*could not be fetched*"
  done
  kill "$server"
}

test_sha256() {
  assert_equal "$hash_of_hello" "$(sha256 "$work/answer")"
  run sha256 "$work/missing"
  assert_status 1
}
