//! `ldi`, also called as `pyexec` and `autoinit`.

fn main() -> std::process::ExitCode {
    ldi_daemon::cli::main()
}
