//! The configuration with all its defaults, as a file for people. A test reads it back.

use super::Config;

impl Config {
    /// All keys with their defaults, as a file.
    pub fn print_defaults() -> String {
        let d = Self::default();
        format!(
            "root = {root:?}\n\
             tags = []                    # jobs with `tags` run only where one of them is set\n\n\
             [sync]\n\
             source = []                  # \"ssh://user@host[:port]/path\", \"https://host/path\", \"file:///path\", in order\n\
             ring = {ring:?}\n\
             # identity = \"/etc/ldi/id_ed25519\"     # for ssh://; <identity>-cert.pub beside it is used\n\
             # known_hosts = \"/etc/ldi/known_hosts\" # for ssh://\n\
             trusted_root = {trusted_root:?}\n\
             # ca_file = \"/etc/ldi/ca.pem\"         # for https://, beside the system's authorities\n\
             # client_certificate = \"/etc/ldi/machine.pem\" # for https:// servers that ask for one\n\
             # client_key = \"/etc/ldi/machine.key\"  # its key, mode 0600\n\
             proxy_command = []           # for ssh://, like [\"/usr/bin/nc\", \"%h\", \"%p\"]; no shell\n\
             # max_rate = \"2M\"            # bytes of content a second: 500K, 2M; unset: no limit\n\
             connect_timeout = \"{connect}\"\n\
             lock_wait = \"{lock_wait}\"            # how long to wait for another sync\n\
             # max_stale = \"30d\"          # unset: the last good release runs for ever\n\n\
             [run]\n\
             timeout = \"{timeout}\"              # of a job that names none\n\
             kill_after = \"{kill}\"          # between TERM and KILL\n\
             output_limit = {limit}       # bytes kept, for each of stdout and stderr\n\
             parallel = {parallel}                 # jobs at once\n\
             retry_delay = \"{retry}\"         # doubles with each retry\n\
             gate_interval = \"{gate}\"        # between two looks at a closed gate\n\
             gate_splay = \"{gate_splay}\"           # window for jobs whose gate has opened\n\
             path = {path:?}\n\
             breaker = {breaker}                  # failures in a row after which a job is left out; 0: never\n\
             breaker_for = \"{breaker_for}\"           # for so long, then one try\n\
             # memory = \"1G\"              # of a run whose job names none; unset: no limit\n\
             # cpu = 100                  # percent of one processor; unset: no limit\n\
             # processes = 500            # processes and threads; unset: no limit\n\
             secrets = {secrets:?} # files that jobs with `secrets` are given\n\n\
             [history]\n\
             runs = {runs}\n\
             logs = {logs}\n\
             log_bytes = {log_bytes}\n\n\
             [daemon]\n\
             stop_deadline = \"{stop}\"\n\
             resume_splay = \"{resume}\"         # window for missed tiers after boot or sleep\n\n\
             [update]\n\
             enabled = {enabled}               # take up a new ldi of the library\n\
             deadline = \"{deadline}\"             # for it to sync and finish a tier\n\
             hold = \"{hold}\"                 # tiers wait so long for it to start\n\n\
             [server]\n\
             # url = \"https://fleet.example.com\"\n\
             # ca_file = \"/etc/ldi/fleet-ca.pem\"       # if the system does not know its authority\n\
             # client_certificate = \"/etc/ldi/machine.pem\"\n\
             # client_key = \"/etc/ldi/machine.key\"\n\n\
             [spool]                      # results that wait for the server\n\
             bytes = \"{spool_bytes}\"\n\
             age = \"{spool_age}\"\n\n\
             [metrics]\n\
             # textfile = \"/var/lib/prometheus/node-exporter/ldi.prom\" # for node_exporter\n",
            root = d.root,
            ring = d.sync.ring,
            trusted_root = d.sync.trusted_root,
            connect = d.sync.connect_timeout,
            lock_wait = d.sync.lock_wait,
            timeout = d.run.timeout,
            kill = d.run.kill_after,
            limit = d.run.output_limit,
            parallel = d.run.parallel,
            retry = d.run.retry_delay,
            gate = d.run.gate_interval,
            gate_splay = d.run.gate_splay,
            path = d.run.path,
            breaker = d.run.breaker,
            breaker_for = d.run.breaker_for,
            secrets = d.run.secrets,
            runs = d.history.runs,
            logs = d.history.logs,
            log_bytes = d.history.log_bytes,
            stop = d.daemon.stop_deadline,
            resume = d.daemon.resume_splay,
            spool_bytes = d.spool.bytes,
            spool_age = d.spool.age,
            enabled = d.update.enabled,
            deadline = d.update.deadline,
            hold = d.update.hold,
        )
    }
}
