//! The book as one page of HTML that needs nothing else: no network, no other file.

use super::book::{Book, Job};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub fn page(book: &Book) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>The library</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<nav>\n\
         <input id=\"find\" type=\"search\" placeholder=\"Find a function or a job\" aria-label=\"Find\">\n"
    );
    let files = book.modules.iter().map(|module| module.file.as_str());
    links(&mut out, "Modules", files);
    links(&mut out, "Jobs", book.tiers.iter().map(|tier| tier.name.as_str()));
    out.push_str("</nav>\n<main>\n<h1>The library</h1>\n<h2>Modules</h2>\n");
    for module in &book.modules {
        let file = escape(&module.file);
        out.push_str(&format!("<section id=\"{file}\">\n<h3>{file}</h3>\n{}", pre(&module.about)));
        for one in &module.functions {
            let (prefix, usage, about) =
                (escape(&module.prefix), escape(&one.usage), pre(&one.about));
            let (name, line) = (escape(&one.name), one.line);
            out.push_str(&format!(
                "<article data-name=\"{prefix}{name}\">\n<h4><code><span>{prefix}</span>{usage}</code> \
                 <small>line {line}</small></h4>\n{about}</article>\n"
            ));
        }
        out.push_str("</section>\n");
    }
    out.push_str("<h2>Jobs</h2>\n");
    for tier in &book.tiers {
        let (name, when) = (escape(&tier.name), escape(&tier.when));
        out.push_str(&format!("<section id=\"{name}\">\n<h3>{name} <small>{when}</small></h3>\n"));
        if tier.jobs.is_empty() {
            out.push_str("<p>Nothing runs in it.</p>\n");
        }
        tier.jobs.iter().for_each(|one| out.push_str(&job(one)));
        out.push_str("</section>\n");
    }
    out.push_str("<h2>Collectors</h2>\n<section>\n");
    book.collectors.iter().for_each(|one| out.push_str(&job(one)));
    out.push_str(&format!("</section>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
    out
}

fn links<'a>(out: &mut String, title: &str, names: impl Iterator<Item = &'a str>) {
    out.push_str(&format!("<h2>{title}</h2>\n<ul>\n"));
    for name in names {
        let name = escape(name);
        out.push_str(&format!("<li><a href=\"#{name}\">{name}</a></li>\n"));
    }
    out.push_str("</ul>\n");
}

fn job(job: &Job) -> String {
    let (name, runs, about) = (escape(&job.name), escape(&job.runs), pre(&job.about));
    let keys = if job.keys.is_empty() {
        String::new()
    } else {
        format!("<p>{}</p>\n", escape(&job.keys.join("; ")))
    };
    format!(
        "<article data-name=\"{name}\">\n<h4><code>{name}</code> <small>{runs}</small></h4>\n{keys}{about}</article>\n"
    )
}

fn pre(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!("<pre>{}</pre>\n", escape(text)) }
}

/// Safe as text and within quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::book::{Function, Module};

    #[test]
    fn nothing_of_the_tree_is_markup() {
        let evil = "\"><script>alert(1)</script>'&\u{0}".to_owned();
        let function =
            Function { name: evil.clone(), usage: evil.clone(), line: 1, about: evil.clone() };
        let module = Module {
            file: evil.clone(),
            prefix: evil.clone(),
            about: evil,
            functions: vec![function],
        };
        let book = Book { modules: vec![module], tiers: Vec::new(), collectors: Vec::new() };
        let page = page(&book);
        assert!(!page.contains("<script>alert") && !page.contains("\"><") && !page.contains('\0'));
        assert!(page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&amp;\u{fffd}"));
    }
}
