//! The building blocks of generated scripts: words, sentences, headers, functions.

use std::sync::LazyLock;

use crate::rng::Rng;

static WORDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| TEXT.split(' ').collect());

const TEXT: &str = "account active address after agent allow also always answer application \
archive array asset attempt backup balance base battery before begin binary block boot bridge \
bundle button cache call catalog certificate change channel check choose class clean client \
clock cluster collect column command compare computer config connect console content copy core \
count create current custom daily data database date debug default delay delete deploy desktop \
detail device dialog directory disable disk display domain done download drive driver each \
early edit enable encrypt end engine enrol ensure entry error escrow event every exact example \
exclude exit expire export extension fail feature fetch field file filter final find finish \
firewall first flag folder font force format found free frequency from full function gateway \
group guest handle hardware hash header health help hidden history home host hour icon idle \
image import include index info input install interface interval inventory issue item join \
journal keep kernel key keychain known label language last later launch layer length level \
library license limit line link list load local location lock log login long lookup machine \
main manage manifest master match maximum member memory menu message method minimum missing \
mobile mode model module monitor month mount move name network never next node normal note \
notify number object offline often old only open option order other output owner package page \
panel parse part password patch path pause payload percent permission person phase place plan \
plugin policy port position power prefer present previous print printer private process \
product profile program project prompt protect proxy public pull push queue quick random range \
read ready reason receipt record recover reduce refresh region register release remote remove \
rename repair repeat replace report request require reset resolve resource response restart \
restore result resume retry return revoke right role root rotate route rule run safe sample \
save scan schedule schema scope score screen script search second section secure select send \
serial server service session setting setup share shell short show shutdown sign silent simple \
site size skip sleep small software sort source space special speed stage standard start state \
static status step stop storage store stream string strict style subject submit sudo summary \
support switch sync system table tag target task team template temporary term test text \
thread ticket time title token tool top total trace track transfer trash trust try type unit \
unlock update upgrade upload usage user valid value vendor verify version view virtual volume \
wait warn watch week when while window wireless word work worker write year zone";

const GLUE: &[&str] = &[
    "the", "a", "of", "to", "and", "is", "in", "for", "if", "that", "it", "on", "not", "with",
    "this", "as", "when", "be", "are", "we", "has", "only", "no", "so", "by", "or", "until",
];

const VERBS: &[&str] = &[
    "check", "get", "set", "update", "install", "remove", "list", "find", "clean", "report",
    "verify", "collect", "rotate", "mount", "enable", "disable", "load", "write", "read", "parse",
];

const PATHS: &[&str] = &[
    "/Library/Preferences",
    "/Library/Application Support",
    "/Library/LaunchDaemons",
    "/usr/local/bin",
    "/usr/local/etc",
    "/var/log",
    "/var/db",
    "/private/tmp",
    "/etc",
    "/opt/company",
];

const TOOLS: &[&str] = &[
    "defaults read",
    "launchctl list",
    "system_profiler SPHardwareDataType",
    "scutil --get ComputerName",
    "networksetup -listallhardwareports",
    "diskutil info /",
    "softwareupdate -l",
    "systemctl status",
    "ip -o addr show",
    "lsblk -o NAME,SIZE",
    "df -kP",
    "ps -axo pid,comm",
];

fn word(rng: &mut Rng) -> &'static str {
    rng.pick(&WORDS).unwrap_or("word")
}

/// A name as people give them to scripts and functions: `check_printer_queue`.
pub fn name(rng: &mut Rng) -> String {
    let verb = rng.pick(VERBS).unwrap_or("run");
    if rng.chance(50) {
        format!("{verb}_{}", word(rng))
    } else {
        format!("{verb}_{}_{}", word(rng), word(rng))
    }
}

/// A sentence of 5 to 14 words.
pub fn sentence(rng: &mut Rng) -> String {
    let mut text = String::new();
    for at in 0..5 + rng.below(10) {
        if at > 0 {
            text.push(' ');
        }
        let glue = at % 2 == 1;
        text.push_str(if glue { rng.pick(GLUE).unwrap_or("the") } else { word(rng) });
    }
    text
}

/// The first lines of a script.
pub fn header(rng: &mut Rng, is_python: bool, stem: &str) -> String {
    let about = format!("# {} - {}\n#\n# {}\n", stem, sentence(rng), sentence(rng));
    let date = format!(
        "# {}-{:02}-{:02}, version 1.{}\n",
        2012 + rng.below(14),
        1 + rng.below(12),
        1 + rng.below(28),
        rng.below(40)
    );
    if is_python {
        format!(
            "#!/usr/bin/env python3\n{about}{date}\nimport json\nimport os\nimport subprocess\n\
             import sys\n\nVERSION = '1.{}'\n\n",
            rng.below(40)
        )
    } else {
        format!(
            "#!/bin/bash\n{about}{date}\n[ -z \"$autoinit\" ] && \
             {{ . /Library/code/lib/modules/autoinit.sh; autoinit; }}\n\nVersion=1.{}\n\n",
            rng.below(40)
        )
    }
}

/// One bash function.
pub fn bash(rng: &mut Rng) -> String {
    let mut text = format!("# {}\n{}() {{\n", sentence(rng), name(rng));
    let local = word(rng);
    text.push_str(&format!("  local {local}_value=\"$1\"\n"));
    for _ in 0..2 + rng.below(6) {
        let path = rng.pick(PATHS).unwrap_or("/etc");
        let tool = rng.pick(TOOLS).unwrap_or("true");
        let (one, two) = (word(rng), word(rng));
        text.push_str(&match rng.below(8) {
            0 => format!(
                "  if [ -f \"{path}/{one}.{two}.plist\" ]; then\n    echo \"{}\"\n  fi\n",
                sentence(rng)
            ),
            1 => format!("  {one}=$({tool} 2>/dev/null | awk '/{two}/ {{print ${}}}')\n", 1 + rng.below(5)),
            2 => format!("  # {}\n", sentence(rng)),
            3 => format!(
                "  if [ \"${local}_value\" = \"{one}\" ]; then\n    print_red \"{}\"\n    return {}\n  fi\n",
                sentence(rng),
                1 + rng.below(9)
            ),
            4 => format!("  for {one} in \"{path}\"/{two}*; do\n    chmod {} \"${one}\"\n  done\n", 600 + rng.below(150)),
            5 => format!("  diff_replace \"{path}/{one}.conf\" \"$lib/conf/{two}.conf\" || return 1\n"),
            6 => format!("  logger -t {one}_{two} \"{}\"\n", sentence(rng)),
            _ => format!("  {one}_{two}={}\n", rng.below(100_000)),
        });
    }
    text.push_str("  return 0\n}\n\n");
    text
}

/// One Python function.
pub fn python(rng: &mut Rng) -> String {
    let local = word(rng);
    let mut text = format!(
        "def {}({local}_value=None):\n    \"\"\"{}.\"\"\"\n    result = {{}}\n",
        name(rng),
        sentence(rng)
    );
    for _ in 0..2 + rng.below(6) {
        let path = rng.pick(PATHS).unwrap_or("/etc");
        let tool = rng.pick(TOOLS).unwrap_or("true");
        let (one, two) = (word(rng), word(rng));
        text.push_str(&match rng.below(7) {
            0 => format!(
                "    if os.path.exists('{path}/{one}.{two}.plist'):\n        print('{}')\n",
                sentence(rng)
            ),
            1 => format!(
                "    out = subprocess.run({:?}, capture_output=True, text=True)\n    result['{one}'] = out.stdout.split()[{}:]\n",
                tool.split(' ').collect::<Vec<_>>(),
                rng.below(6)
            ),
            2 => format!("    # {}\n", sentence(rng)),
            3 => format!(
                "    if {local}_value == '{one}':\n        sys.stderr.write('{}\\n')\n        return {}\n",
                sentence(rng),
                1 + rng.below(9)
            ),
            4 => format!(
                "    try:\n        with open('{path}/{one}.json') as handle:\n            result['{two}'] = json.load(handle)\n    except (OSError, ValueError) as error:\n        result['{two}'] = str(error)\n"
            ),
            5 => format!("    result['{one}_{two}'] = {}\n", rng.below(100_000)),
            _ => format!("    result.update({{'{one}': '{}'}})\n", sentence(rng)),
        });
    }
    text.push_str("    return result\n\n\n");
    text
}
