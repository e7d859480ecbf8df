//! What there is to choose from.

use color_eyre::eyre::Result;

use super::page::Page;
use crate::highlight::{Depth, Languages, Painter, theme, theme_names};

/// Shows what a theme does, in a language that has everything.
const SAMPLE: &str = "\
/// Where it listens.
fn port(name: &str) -> Option<u16> {
    PORTS.get(name).or(Some(7443)) // \"web-1\"
}
";

pub(super) fn languages(page: &mut Page) -> Result<()> {
    let all = Languages::get().all();
    let width = all.iter().map(|language| language.name().chars().count()).max().unwrap_or(0);
    for language in all {
        let line = format!("{:width$}  {}", language.name(), language.extensions().join(", "));
        if !page.write(&format!("{}\n", line.trim_end()), page.rows_of(line.len()))? {
            break;
        }
    }
    Ok(())
}

/// By name, and in colours with a sample.
pub(super) fn themes(page: &mut Page, depth: Option<Depth>) -> Result<()> {
    let rust = Languages::get().find("rust").unwrap_or_else(|| Languages::get().plain());
    for name in theme_names() {
        let mut shown = format!("{name}\n");
        if let (Some(depth), Some(theme)) = (depth, theme(name)) {
            let mut painter = Painter::new(rust, &theme, depth);
            for line in SAMPLE.split_inclusive('\n') {
                shown.push_str("    ");
                painter.line(line, &mut shown);
            }
            shown.push('\n');
        }
        if !page.write(&shown, shown.lines().count())? {
            break;
        }
    }
    Ok(())
}
