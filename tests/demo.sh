#!/bin/bash
# The main job in ./demo: publish a signed library, sync it through a limited SSH account, run a
# tier; change a script; damage the server. `make demo` builds first and then runs this.
set -euo pipefail

cd "$(dirname "$0")/.."
readonly demo="$PWD/demo" programs="$PWD/target/debug"
PATH="$programs:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/opt/homebrew/bin"
export PATH

bold='' green='' red='' blue='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' blue=$'\e[36m' plain=$'\e[0m'
fi
begin=$SECONDS

step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '  %s\n' "$*"; }
good() { printf '  %s%s%s\n' "$green" "$*" "$plain"; }
fail() {
    printf '%s%s%s\n' "$red" "$*" "$plain" >&2
    exit 1
}
# short: paths without the way to this folder.
short() { sed "s|\([0-9]\)$demo|\1/demo|g; s|$demo|demo|g; s/^/    /"; }
# show COMMAND…: prints it as a person would type it, runs it, indents what it prints.
show() {
    printf '  %s$ %s%s\n' "$blue" "${*//"$demo/"/}" "$plain"
    local status=0
    "$@" 2>&1 | short || status=${PIPESTATUS[0]}
    return "$status"
}
# number NAME: one number of the JSON on standard input.
number() { sed -n "s/.*\"$1\": *\\([0-9][0-9]*\\).*/\\1/p" | head -n 1; }

sshd_pid='' fleet_pid=''
stop() {
    local pid
    for pid in $sshd_pid $fleet_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
trap stop EXIT
trap 'exit 130' INT TERM

for name in codesync codesync-shell ldi ldi-server; do
    [ -x "$programs/$name" ] || fail "$name is not built; run: make build"
done
for name in sshd ssh-keygen; do
    command -v "$name" >/dev/null || fail "$name is missing; run: sudo apt-get install openssh-server openssh-client"
done
if [ -e "$demo" ]; then
    [ -e "$demo/.made-by-make-demo" ] || fail "$demo was not made by this demo; move it away first"
    chmod -R u+w "$demo"
    rm -rf "$demo"
fi

step '1. A publisher signs a library'
mkdir -p "$demo/tree" "$demo/sshd"
touch "$demo/.made-by-make-demo"
cp -R modules scripts conf "$demo/tree/"
find "$demo/tree" -name __pycache__ -prune -exec rm -rf {} +
cat >"$demo/codesync" <<EOT
#!/bin/sh
CODESYNC_LIBRARY='$demo/library' CODESYNC_KEYS='$demo/keys' exec '$programs/codesync' "\$@"
EOT
cat >"$demo/ldi" <<EOT
#!/bin/sh
LDI_CONFIG='$demo/ldi.toml' exec '$programs/ldi' "\$@"
EOT
cat >"$demo/server" <<EOT
#!/bin/sh
exec '$(command -v sshd)' -D -f '$demo/sshd/sshd_config' -E '$demo/sshd/log'
EOT
cat >"$demo/ldi-server" <<EOT
#!/bin/sh
LDI_SERVER_DATA='$demo/fleet' exec '$programs/ldi-server' "\$@"
EOT
chmod +x "$demo/codesync" "$demo/ldi" "$demo/server" "$demo/ldi-server"
say 'The tree is a copy of modules/ scripts/ conf/. The private keys stay in demo/keys.'
show "$demo/codesync" init
show "$demo/codesync" publish --tree "$demo/tree"

step '2. A server hands it out through an account that can do nothing else'
user=$(id -un)
ssh-keygen -q -t ed25519 -N '' -C server -f "$demo/sshd/host_key"
ssh-keygen -q -t ed25519 -N '' -C client -f "$demo/client_key"
printf 'restrict,command="%s --library %s" %s\n' "$programs/codesync-shell" "$demo/library" \
    "$(cat "$demo/client_key.pub")" >"$demo/sshd/authorized_keys"
[ "$(id -u)" = 0 ] && mkdir -p /run/sshd
start_sshd() {
    cat >"$demo/sshd/sshd_config" <<EOT
Port $1
ListenAddress 127.0.0.1
HostKey $demo/sshd/host_key
AuthorizedKeysFile $demo/sshd/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
ExposeAuthInfo yes
LogLevel VERBOSE
EOT
    "$demo/server" &
    sshd_pid=$!
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "$sshd_pid" 2>/dev/null || return 1
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep "0.$try"
    done
    return 1
}
port=
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    # Somebody else's server would answer too.
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue; fi
    start_sshd "$port" && break
    port=
done
[ -n "$port" ] || fail "sshd did not start; its log: $(cat "$demo/sshd/log")"
say "sshd listens on 127.0.0.1:$port; its one key is bound to:"
say "  $(cut -d' ' -f1-3 "$demo/sshd/authorized_keys" | sed "s|$programs/||; s|$demo/||")"
say 'So a login gets this far:'
ssh_words=(-F none -i "$demo/client_key" -o IdentitiesOnly=yes -o IdentityAgent=none
    -o BatchMode=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none
    -o "UserKnownHostsFile=$demo/known_hosts" -p "$port")
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$demo/sshd/host_key.pub")" >"$demo/known_hosts"
printf '  %s$ ssh %s@127.0.0.1 cat /etc/passwd%s\n' "$blue" "$user" "$plain"
if ssh "${ssh_words[@]}" "$user@127.0.0.1" cat /etc/passwd 2>&1 | sed 's/^/    /'; then
    fail 'the limited account ran a foreign command'
fi

step '3. A client that pins the host key and root.json runs a tier: sync, verify, activate, run'
cp "$demo/keys/root.json" "$demo/root.json"
cat >"$demo/ldi.toml" <<EOT
root = "$demo/client"
[sync]
source = ["ssh://$user@127.0.0.1:$port$demo/library"]
ring = "stable"
identity = "$demo/client_key"
known_hosts = "$demo/known_hosts"
trusted_root = "$demo/root.json"
EOT
show "$demo/ldi" run every15 || fail 'the first run failed'

step '4. One script changes; only the change travels'
changed=$(find "$demo/tree/scripts/every15" -type f | sort | head -n 1)
[ -n "$changed" ] || fail 'there is no script in scripts/every15'
say "a line goes to the end of ${changed#"$demo/tree/"}"
printf '\n# Changed by the demo.\n' >>"$changed"
show "$demo/codesync" publish --tree "$demo/tree" --note 'one line'
printf '  %s$ ldi sync --json%s\n' "$blue" "$plain"
report=$("$demo/ldi" sync --json) || fail "the second sync failed: $report"
short <<<"$report"
case $report in
*'"transfer":"patch"'* | *'"transfer": "patch"'*) ;;
*) fail 'that was no patch' ;;
esac
patch=$(find "$demo/library/rings/stable/targets" -name '*.1-2.patch.zst')
good "one patch of $(wc -c <"$patch" | tr -d ' ') bytes, $(number bytes_received <<<"$report") with the signed metadata; $(number files_changed <<<"$report") of $(number files_total <<<"$report") files changed"
show "$demo/ldi" run every15 || fail 'the run after the change failed'

step '5. Somebody changes a byte on the server'
printf '# Another line.\n' >>"$changed"
show "$demo/codesync" publish --tree "$demo/tree" --note 'a second line'
victim=$(find "$demo/library/rings/stable/targets" -name '*.2-3.patch.zst' | head -n 1)
[ -n "$victim" ] || fail 'there is no patch from release 2 to 3'
cp -p "$victim" "$demo/before"
chmod u+w "$victim"
size=$(wc -c <"$victim")
old=$(tail -c 1 "$victim" | od -An -tu1 | tr -d ' ')
printf '%b' "\\x$(printf '%02x' $(((old + 1) % 256)))" |
    dd of="$victim" bs=1 seek=$((size - 1)) conv=notrunc status=none
say "the last byte of ${victim##*/} is another one now"
status=0
show "$demo/ldi" sync || status=$?
[ "$status" = 76 ] || fail "expected exit code 76 (refused), got $status"
good 'refused with exit code 76; release 2, the last good one, still runs:'
show "$demo/ldi" run every15 || fail 'the last good release does not run'
say 'With the right byte back, the client goes on:'
cp -p "$demo/before" "$victim"
rm -f "$demo/before"
show "$demo/ldi" sync || fail 'the sync after the repair failed'

step '6. A fleet server hears what the machine is and what it did'
fleet_port=
for _ in 1 2 3 4 5; do
    fleet_port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$fleet_port") 2>/dev/null || break
done
show "$demo/ldi-server" init --name localhost --listen "127.0.0.1:$fleet_port"
"$demo/ldi-server" serve 2>"$demo/fleet/log" &
fleet_pid=$!
for try in 1 2 3 4 5 6 7 8 9 10; do
    (exec 3<>"/dev/tcp/127.0.0.1/$fleet_port") 2>/dev/null && break
    sleep "0.$try"
done
token=$("$demo/ldi-server" token create)
say 'One token admits one machine, and says whom the machine may believe:'
show "$demo/ldi" enroll --server "https://localhost:$fleet_port" --token "$token" || fail 'the machine was not enrolled'
"$demo/ldi" collect --submit >"$demo/inventory.json" || true
show "$demo/ldi" submit || fail 'the server was not told'
show "$demo/ldi-server" clients list --where 'last_seen < 1h and exists(os_info.version)'
client=$("$demo/ldi-server" clients list --json | sed -n 's/.*"client":"\([0-9a-f]*\)".*/\1/p')
[ -n "$client" ] || fail 'the server knows no machine'
show "$demo/ldi-server" clients history "$client" --limit 3

step "Done in $((SECONDS - begin)) s. The servers are stopped now. What to try next"
cat <<EOT
  demo/ldi status                      what this client runs, and since when
  demo/ldi history                     every run; demo/ldi logs RUN shows what it printed
  demo/ldi exec scripts/${changed##*/scripts/}
  demo/codesync log                    what was published, when
  demo/server &                        the limited account again, for demo/ldi sync
  demo/ldi-server serve &              the fleet server again; demo/ldi-server clients show NAME
  edit demo/tree, then: demo/codesync publish --tree demo/tree
EOT
