//! Tables for people.

use crate::text::printable;

/// Columns aligned by their longest cell, with a headline. Control characters are shown as `?`: a device's name must not
/// write to the operator's terminal.
pub(crate) fn table(headline: &[&str], rows: &[Vec<String>]) -> String {
    let shown: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widths: Vec<usize> = headline
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let longest = shown.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            longest.unwrap_or(0).max(name.chars().count())
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = line(&mut headline.iter().copied());
    for row in &shown {
        out.push('\n');
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}
