//! The report as HTML: an index with a bar for each crate and file, and the source of each file with
//! its gaps. The pages need nothing besides themselves.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::catalogue::Catalogue;
use crate::join::{Arm, Point, Report, State, Tally, is_required};
use crate::table::{packages, signature};

const STYLE: &str = include_str!("pages.css");

const KEY: &str = "<p class=\"key quiet\">\
    <span><b style=\"background:var(--reached)\"></b>reached</span>\
    <span><b style=\"background:var(--gap)\"></b>gap</span>\
    <span><b style=\"background:var(--excluded)\"></b>excluded, with a reason</span></p>\n";

/// The pages: the name of each, and what is in it. The first is `index.html`.
pub fn pages(title: &str, catalogue: &Catalogue, report: &Report<'_>) -> Vec<(String, String)> {
    let packages = packages(catalogue, report);
    let mut rows = String::new();
    let mut all = Vec::new();
    let mut found = Vec::new();
    for (package, files) in &packages {
        let points: Vec<_> = files.values().flatten().copied().collect();
        rows.push_str(&row("crate", &escape(package), &points));
        for (file, points) in files {
            let page = page_name(file);
            let shown = file.split_once("/src/").map_or(*file, |(_, inside)| inside);
            let link = format!("<a class=\"code\" href=\"{page}\">{}</a>", escape(shown));
            rows.push_str(&row("", &link, points));
            let text = catalogue.sources.get(*file).map_or("", |source| source.text.as_str());
            found.push((page, file_page(title, file, text, points)));
        }
        all.extend(points);
    }
    let tally = required(&all);
    let mut body = format!("<h1>{}</h1>\n", escape(title));
    let _ = writeln!(
        body,
        "<p>{} of the {} points that need to be reached were reached; {} are excluded, {} are \
         gaps.</p>",
        tally.covered,
        tally.total - tally.excluded,
        tally.excluded,
        tally.gaps()
    );
    let _ = writeln!(
        body,
        "<p class=\"quiet\">A point is a call of the platform: an atomic, a fence, a cell, a spin \
         or a retry. A compare-exchange counts twice, for its success and for its failure. Parkers, \
         clocks, threads, drivers and the like are counted as others.</p>"
    );
    body.push_str(KEY);
    body.push_str(
        "<table><thead><tr><th></th><th></th><th>points</th><th>reached</th><th>excluded</th>\
         <th>gaps</th><th>%</th><th>others</th></tr></thead>\n<tbody>\n",
    );
    body.push_str(&rows);
    body.push_str("</tbody></table>\n");
    for error in &report.errors {
        let _ = writeln!(body, "<p class=\"why\">{}</p>", escape(error));
    }
    found.insert(0, ("index.html".to_owned(), page(title, &body)));
    found
}

fn required(points: &[&Point<'_>]) -> Tally {
    Tally::of(points.iter().copied().filter(|point| is_required(point.entry.category)))
}

/// A row of the index.
fn row(class: &str, name: &str, points: &[&Point<'_>]) -> String {
    let tally = required(points);
    let others =
        Tally::of(points.iter().copied().filter(|point| !is_required(point.entry.category)));
    let others = match others.total {
        0 => String::new(),
        total => format!("{}/{total}", others.covered),
    };
    format!(
        "<tr class=\"{class}\"><td>{name}</td><td class=\"bar\">{}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{:.1}</td><td class=\"quiet\">{others}</td></tr>\n",
        meter(tally),
        tally.total,
        tally.covered,
        tally.excluded,
        tally.gaps(),
        tally.percent()
    )
}

fn meter(tally: Tally) -> String {
    let mut bar = String::from("<div class=\"meter\">");
    let parts = [("reached", tally.covered), ("excluded", tally.excluded), ("gap", tally.gaps())];
    for (class, count) in parts {
        if count > 0 {
            let width = 100.0 * count as f64 / tally.total as f64;
            let _ = write!(bar, "<i class=\"{class}\" style=\"width:{width:.2}%\"></i>");
        }
    }
    bar.push_str("</div>");
    bar
}

fn file_page(title: &str, file: &str, text: &str, points: &[&Point<'_>]) -> String {
    let tally = required(points);
    let mut body = format!(
        "<p class=\"quiet\"><a href=\"index.html\">{}</a></p>\n<h1 class=\"code\">{}</h1>\n",
        escape(title),
        escape(file)
    );
    let _ = writeln!(
        body,
        "<p>{} of {} points reached, {} excluded, {} gaps.</p>\n{}",
        tally.covered,
        tally.total,
        tally.excluded,
        tally.gaps(),
        meter(tally)
    );
    let gaps: Vec<_> = points
        .iter()
        .filter(|point| is_required(point.entry.category))
        .filter_map(|point| point.gap().map(|why| (point, why)))
        .collect();
    if !gaps.is_empty() {
        body.push_str("<h2>Gaps</h2>\n<ul class=\"gaps\">\n");
        for (point, why) in gaps {
            let line = point.entry.site.line;
            let _ = writeln!(
                body,
                "<li><a href=\"#L{line}\">{line}</a> <code>{}</code> in <code>{}</code>{}: \
                 <span class=\"why\">{}</span></li>",
                escape(&signature(point)),
                escape(&point.entry.function),
                point.arm.map_or(String::new(), |arm| format!(", {}", arm.name())),
                why.text()
            );
        }
        body.push_str("</ul>\n");
    }
    let mut by_line: BTreeMap<u32, Vec<&Point<'_>>> = BTreeMap::new();
    for point in points {
        by_line.entry(point.entry.site.line).or_default().push(point);
    }
    body.push_str("<ol class=\"source code\">\n");
    for (number, line) in (1_u32..).zip(text.lines()) {
        let points = by_line.get(&number).map_or(&[][..], Vec::as_slice);
        let class = class_of_line(points);
        let notes = notes(points);
        let notes = match notes.as_str() {
            "" => notes,
            notes => format!("<span class=\"note\">{}</span>", escape(notes)),
        };
        let _ = writeln!(
            body,
            "<li id=\"L{number}\" class=\"{class}\"><a href=\"#L{number}\">{number}</a>\
             <span>{}</span>{notes}</li>",
            marked(line, points)
        );
    }
    body.push_str("</ol>\n");
    page(&format!("{file} · {title}"), &body)
}

/// The worst that a line has to show.
fn class_of_line(points: &[&Point<'_>]) -> &'static str {
    let classes: Vec<_> = points.iter().map(|point| class(point)).collect();
    ["gap", "excluded", "reached"]
        .into_iter()
        .find(|class| classes.contains(class))
        .unwrap_or_default()
}

fn class(point: &Point<'_>) -> &'static str {
    match point.state {
        State::Covered(_) => "reached",
        State::Excluded(_) => "excluded",
        State::Gap(_) if is_required(point.entry.category) => "gap",
        State::Gap(_) => "other",
    }
}

/// What stands behind a line: why its gaps are, and why it is excluded.
fn notes(points: &[&Point<'_>]) -> String {
    let mut notes: Vec<String> = Vec::new();
    for point in points {
        let note = match &point.state {
            State::Covered(_) => continue,
            State::Excluded(reason) => format!("excluded: {reason}"),
            State::Gap(why) => why.text().to_owned(),
        };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes.join("; ")
}

/// The line with its operations marked.
fn marked(line: &str, points: &[&Point<'_>]) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut html = String::new();
    let mut at = 0;
    let mut sites: BTreeMap<usize, Vec<&Point<'_>>> = BTreeMap::new();
    for point in points {
        sites.entry(point.entry.site.column as usize - 1).or_default().push(point);
    }
    for (start, points) in sites {
        // Up to the arguments: a method's name, or a path.
        let length = chars[start.min(chars.len())..].iter().take_while(|char| **char != '(');
        let end = start + length.count();
        if start < at || end > chars.len() {
            continue;
        }
        let class = match class_of_line(&points) {
            "" => "other",
            class => class,
        };
        let before: String = chars[at..start].iter().collect();
        let name: String = chars[start..end].iter().collect();
        let _ = write!(
            html,
            "{}<mark class=\"{class}\" title=\"{}\">{}</mark>",
            escape(&before),
            escape(&tale(&points)),
            escape(&name)
        );
        at = end;
    }
    let rest: String = chars[at..].iter().collect();
    html.push_str(&escape(&rest));
    html
}

/// What happened at a site, in words.
fn tale(points: &[&Point<'_>]) -> String {
    let Some(point) = points.first() else { return String::new() };
    let name = signature(point);
    let Some(hit) = point.hit else { return format!("{name}: not reached") };
    let threads = hit.threads.count_ones();
    let by = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    match point.arm {
        None => format!("{name}: {} times, by {by}", hit.count),
        Some(Arm::Succeeded | Arm::Failed) => {
            let (succeeded, failed) = (hit.succeeded, hit.failed);
            format!("{name}: succeeded {succeeded} times, failed {failed} times, by {by}")
        }
    }
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

fn page_name(file: &str) -> String {
    format!("{}.html", file.replace('/', "-"))
}

/// Text for an element or an attribute of HTML or XML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char => escaped.push(char),
        }
    }
    escaped
}
