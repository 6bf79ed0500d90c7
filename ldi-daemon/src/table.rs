//! Tables and colours for people: plain where there is no terminal or NO_COLOR is set.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

/// Whether results may carry colours.
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A table without lines, cut to the terminal's width where there is one.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    let heads = heads.iter().map(|head| {
        let cell = Cell::new(head);
        if colours() { cell.add_attribute(Attribute::Bold) } else { cell }
    });
    table.set_header(heads);
    table
}

/// An outcome, coloured by how good it is.
pub fn outcome(word: &str) -> Cell {
    let cell = Cell::new(word);
    if !colours() {
        return cell;
    }
    match word {
        "ok" | "current" | "updated" | "good" => cell.fg(Color::Green),
        "skipped" | "running" | "would-run" => cell.fg(Color::Yellow),
        _ => cell.fg(Color::Red),
    }
}

/// The table as text, without the padding at both ends of its lines.
pub fn text(table: &Table) -> String {
    let line = |l: &str| format!("{}\n", l.strip_prefix(' ').unwrap_or(l).trim_end());
    table.to_string().lines().map(line).collect()
}
