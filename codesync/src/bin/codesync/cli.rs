//! The command line (contract.md).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::team::{DelegateOptions, KeyOptions, UndelegateOptions};

/// Publishes a signed code library and hands it out to machines.
#[derive(Debug, Parser)]
#[command(
    name = "codesync",
    version,
    propagate_version = true,
    after_help = "\
Example, from nothing to a first release:
  codesync init --library /srv/codesync --keys ~/codesync-keys
  codesync publish --library /srv/codesync --keys ~/codesync-keys --tree ./code --note 'first'

Exit codes: 0 done, 1 failed, 2 usage, 75 busy, 76 refused, 77 not permitted, 78 configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Commands,
}

#[derive(Debug, Subcommand)]
pub enum Commands {
    #[command(flatten)]
    Library(Box<Command>),
    #[command(flatten)]
    Authors(authors::Command),
}

#[derive(Debug, Args)]
pub struct LibraryOption {
    /// The library's folder
    #[arg(long, env = "CODESYNC_LIBRARY", value_name = "DIR")]
    pub library: PathBuf,
}

#[derive(Debug, Args)]
pub struct LogOption {
    /// Append a line about the session here too, not to syslog alone
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct KeysOption {
    /// The folder of the private keys; keep it away from the server
    #[arg(long, env = "CODESYNC_KEYS", value_name = "DIR")]
    pub keys: PathBuf,
    #[command(flatten)]
    pub passphrase: PassphraseOption,
}

impl KeysOption {
    /// The keys that these options name.
    pub fn open(&self) -> codesync::sign::Keys {
        codesync::sign::Keys::new(&self.keys)
            .with_passphrase(self.passphrase.passphrase_file.as_deref())
    }
}

#[derive(Debug, Args)]
pub struct PassphraseOption {
    /// A file with the passphrase of encrypted keys [default: ask on the terminal]
    #[arg(long, env = "CODESYNC_PASSPHRASE_FILE", value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// A root that is signed in steps.
#[derive(Debug, Subcommand)]
pub enum RootCommand {
    /// Begin a new root with the same keys and a new expiry
    Renew {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the exact bytes that root keys must sign
    Export {
        #[command(flatten)]
        keys: KeysOption,
        /// The file to write
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Sign these bytes with one root key, on any machine
    Sign {
        /// The root key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOption,
        /// The file that export wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Add signatures; with enough of them the root is put in force
    Import {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// The files that sign wrote
        #[arg(value_name = "SIG")]
        signatures: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct MirrorOptions {
    /// ssh://user@host[:port]/path, https://host[:port]/path or file:///path
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// The copy's folder, made when it is missing, or s3://bucket/prefix
    #[arg(value_name = "DIR")]
    pub target: PathBuf,
    /// For s3://: the folder of the copy on disk from which the bucket is filled
    #[arg(long, value_name = "DIR")]
    pub copy: Option<PathBuf>,
    /// A ring; repeat for more [default: stable]
    #[arg(long = "ring", value_name = "NAME")]
    pub rings: Vec<String>,
    /// The publisher's first root.json; needed once
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Remove what no release of the last 8 needs
    #[arg(long)]
    pub prune: bool,
    /// Private SSH key
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Pinned SSH host keys
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// Certificates of authorities that an https source is known by, beside the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// This machine's certificate, for an https source that asks for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// The most bytes to take in per second, at least 16384
    #[arg(long, value_name = "BYTES")]
    pub max_rate: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new library and its keys
    #[command(
        after_help = "Example: codesync init --library /srv/codesync --keys ~/codesync-keys --ring canary --ring stable"
    )]
    Init {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// A ring; repeat for more [default: stable]
        #[arg(long = "ring", value_name = "NAME")]
        rings: Vec<String>,
        /// How many root keys to make
        #[arg(long, value_name = "N", default_value_t = 1)]
        root_keys: u32,
        /// How many of them must sign a new root
        #[arg(long, value_name = "T", default_value_t = 1)]
        root_threshold: u32,
        /// Encrypt the keys of these roles with a passphrase
        #[arg(long, value_name = "ROLE", value_delimiter = ',', value_parser = role)]
        encrypt: Vec<codesync::sign::Role>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish a tree as the next release of a ring
    #[command(
        after_help = "Example: codesync publish --library /srv/codesync --keys ~/codesync-keys --tree ./code --note 'faster updates'"
    )]
    Publish {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// The tree: modules/, scripts/, conf/ …
        #[arg(long, value_name = "DIR")]
        tree: PathBuf,
        /// Read every file again, and mend what the library stores and exports
        #[arg(long)]
        rehash: bool,
        /// Where to remember which files need no second reading [default: the user's cache folder]
        #[arg(long, env = "CODESYNC_CACHE", value_name = "DIR")]
        cache: Option<PathBuf>,
        /// The ring
        #[arg(long, value_name = "NAME", default_value = "stable")]
        ring: String,
        /// The team that publishes its part; it signs with KEYS/TEAM.pem
        #[arg(long = "as", value_name = "TEAM")]
        team: Option<String>,
        /// What this release is for; signed with it
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Publish although codesync lint finds errors; the reason is signed with the note
        #[arg(long, value_name = "REASON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        force: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish the newest release of one ring as the next of another
    #[command(
        after_help = "Example: codesync promote --library /srv/codesync --keys ~/codesync-keys --from canary --to stable"
    )]
    Promote {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// The ring to take from
        #[arg(long, value_name = "RING")]
        from: String,
        /// The ring to publish to
        #[arg(long, value_name = "RING")]
        to: String,
        /// The team whose part it is [default: the top-level publisher's]
        #[arg(long = "as", value_name = "TEAM")]
        team: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish what an earlier release held, under a new number
    #[command(
        after_help = "Example: codesync rollback --library /srv/codesync --keys ~/codesync-keys --to 11"
    )]
    Rollback {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// The ring
        #[arg(long, value_name = "NAME", default_value = "stable")]
        ring: String,
        /// The release to go back to
        #[arg(long, value_name = "N")]
        to: u64,
        /// The team whose part it is [default: the top-level publisher's]
        #[arg(long = "as", value_name = "TEAM")]
        team: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign timestamp and snapshot anew; run it daily from a timer
    #[command(
        after_help = "Example: codesync refresh --library /srv/codesync --keys /etc/codesync/keys"
    )]
    Refresh {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// A ring; repeat for more [default: all]
        #[arg(long, value_name = "NAME")]
        ring: Vec<String>,
        /// Days until clients call the library stale
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(0..=3650))]
        expires_in: Option<i64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a role new keys, with a new root that names them
    #[command(
        after_help = "Example: codesync rotate --library /srv/codesync --keys ~/codesync-keys timestamp"
    )]
    Rotate {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        keys: KeysOption,
        /// root, targets, snapshot or timestamp
        #[arg(value_name = "ROLE", value_parser = role)]
        role: codesync::sign::Role,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a key for a team
    #[command(after_help = "Example: codesync key ~/web-keys/web.pem")]
    Key(KeyOptions),
    /// Let a team publish paths of the tree with its own key
    #[command(
        after_help = "Example: codesync delegate --library /srv/codesync --keys ~/codesync-keys web --paths 'modules/web_*' 'conf/web/*' --key web.pub"
    )]
    Delegate(DelegateOptions),
    /// Take back what a team may publish; its files go
    #[command(
        after_help = "Example: codesync undelegate --library /srv/codesync --keys ~/codesync-keys web"
    )]
    Undelegate(UndelegateOptions),
    /// Sign a new root in steps, with keys that are kept apart
    #[command(
        subcommand,
        after_help = "Example: codesync root sign --key /media/stick/root-2.pem root-3.json"
    )]
    Root(RootCommand),
    /// List the releases of a ring, newest first
    #[command(after_help = "Example: codesync log --library /srv/codesync --limit 5")]
    Log {
        #[command(flatten)]
        library: LibraryOption,
        /// The ring
        #[arg(long, value_name = "NAME", default_value = "stable")]
        ring: String,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one release: what it is, what travels, and its files
    #[command(after_help = "Example: codesync show --library /srv/codesync 12")]
    Show {
        #[command(flatten)]
        library: LibraryOption,
        /// The ring
        #[arg(long, value_name = "NAME", default_value = "stable")]
        ring: String,
        /// The release [default: the newest]
        #[arg(value_name = "N")]
        release: Option<u64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what changed between two releases
    #[command(after_help = "Example: codesync diff --library /srv/codesync 11 12")]
    Diff {
        #[command(flatten)]
        library: LibraryOption,
        /// The ring
        #[arg(long, value_name = "NAME", default_value = "stable")]
        ring: String,
        /// The older release [default: the one before M]
        #[arg(value_name = "N")]
        from: Option<u64>,
        /// The newer release [default: the newest]
        #[arg(value_name = "M")]
        to: Option<u64>,
        /// Names only
        #[arg(long)]
        names: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make or update a verified copy of a library, for a web server or a disk
    #[command(
        after_help = "Example: codesync mirror ssh://util@code.example.com/srv/codesync /var/www/codesync --trusted-root root.json --identity key --known-hosts known_hosts"
    )]
    Mirror(MirrorOptions),
    /// Say what is wrong, or soon will be, with a library and its keys
    #[command(
        after_help = "Example, daily from a timer: codesync doctor --library /srv/codesync\n\nExit codes: 0 all is well, 1 something needs attention."
    )]
    Doctor {
        #[command(flatten)]
        library: LibraryOption,
        /// The folder of the private keys, to be examined too
        #[arg(long, env = "CODESYNC_KEYS", value_name = "DIR")]
        keys: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what none of the last releases of any ring needs
    #[command(after_help = "Example: codesync gc --library /srv/codesync --keep 16 --dry-run")]
    Gc {
        #[command(flatten)]
        library: LibraryOption,
        /// Releases of each ring that stay whole
        #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(2..))]
        keep: u64,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the newest releases to a server
    #[command(
        after_help = "Example: codesync push --library ~/library --identity ~/.ssh/alice --known-hosts ~/.ssh/known_hosts ssh://util@code.example.com/srv/codesync"
    )]
    Push {
        #[command(flatten)]
        library: LibraryOption,
        /// ssh://user@host[:port]/path
        #[arg(value_name = "URL")]
        url: String,
        /// A ring; repeat for more [default: all that have a release]
        #[arg(long, value_name = "NAME")]
        ring: Vec<String>,
        /// The publisher's private SSH key
        #[arg(long, env = "CODESYNC_IDENTITY", value_name = "FILE")]
        identity: Option<PathBuf>,
        /// The server's pinned host key
        #[arg(long, env = "CODESYNC_KNOWN_HOSTS", value_name = "FILE")]
        known_hosts: Option<PathBuf>,
        /// The folder of the private keys: only to sign a newer timestamp where the server has
        /// refreshed its own
        #[arg(long, env = "CODESYNC_KEYS", value_name = "DIR")]
        keys: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseOption,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take in releases on stdin and stdout; started by sshd for publishers
    #[command(after_help = "Example, as a forced command: see docs/server.md")]
    Receive {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        log: LogOption,
    },
    /// Hand the library out on stdin and stdout; started by sshd
    #[command(after_help = "Example, as a forced command: see docs/server.md")]
    Serve {
        #[command(flatten)]
        library: LibraryOption,
        #[command(flatten)]
        log: LogOption,
    },
    /// Print completions for a shell
    #[command(after_help = "Example: codesync completions bash > /etc/bash_completion.d/codesync")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    #[command(after_help = "Example: codesync man | man -l -")]
    Man {
        /// Write it, and one page for each command, into this folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

fn role(word: &str) -> Result<codesync::sign::Role, String> {
    use codesync::sign::Role;
    [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp]
        .into_iter()
        .find(|role| role.to_string() == word)
        .ok_or_else(|| "a role is root, targets, snapshot or timestamp".to_owned())
}
