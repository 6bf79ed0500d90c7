//! `ldi-server`: see the library of the same name.

fn main() -> std::process::ExitCode {
    ldi_server::cli::main()
}
