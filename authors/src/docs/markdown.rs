//! The book as Markdown.

use super::book::{Book, Job};

/// The whole page.
pub fn page(book: &Book) -> String {
    let mut out = String::from("# The library\n");
    out.push_str("\n## Modules\n");
    for module in &book.modules {
        out.push_str(&format!("\n### {}\n", code(&module.file)));
        about(&mut out, &module.about);
        for one in &module.functions {
            let usage = format!("{}{}", module.prefix, one.usage.trim_start_matches("class "));
            out.push_str(&format!("\n#### {} (line {})\n", code(&usage), one.line));
            about(&mut out, &one.about);
        }
    }
    out.push_str("\n## Jobs\n");
    for tier in &book.tiers {
        out.push_str(&format!("\n### {}: {}\n", text(&tier.name), text(&tier.when)));
        if tier.jobs.is_empty() {
            out.push_str("\nNothing runs in it.\n");
        }
        tier.jobs.iter().for_each(|one| job(&mut out, one));
    }
    out.push_str("\n## Collectors\n");
    if book.collectors.is_empty() {
        out.push_str("\nThere are none.\n");
    }
    book.collectors.iter().for_each(|one| job(&mut out, one));
    out
}

fn job(out: &mut String, job: &Job) {
    out.push_str(&format!("\n#### {}: {}", code(&job.name), code(&job.runs)));
    if !job.keys.is_empty() {
        out.push_str(&format!(" ({})", text(&job.keys.join("; "))));
    }
    out.push('\n');
    about(out, &job.about);
}

/// As it stands: comments have tables and lists of their own.
fn about(out: &mut String, about: &str) {
    if about.trim().is_empty() {
        return;
    }
    let fence = fence(about, 3);
    out.push_str(&format!("\n{fence}text\n"));
    about.lines().for_each(|line| {
        out.push_str(&clean(line));
        out.push('\n');
    });
    out.push_str(&fence);
    out.push('\n');
}

/// More backquotes than stand in `text`.
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(least.max(longest + 1))
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

fn code(text: &str) -> String {
    let text = clean(text);
    let fence = fence(&text, 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn text(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        if "\\`*_{}[]<>#|!&".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(text("<b>*x*"), "\\<b\\>\\*x\\*");
        let mut out = String::new();
        about(&mut out, "```\n<script>\u{1b}");
        assert_eq!(out, "\n````text\n```\n<script>\n````\n");
    }
}
