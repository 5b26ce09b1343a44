//! `cargo xtask simulate`: the simulation of the rotation protocol, as tables and a plot.
//!
//! 1. The arguments say the seed, how many refreshes, where the plot goes, and whether other figures are tried instead of
//!    other policies.
//! 2. Each policy is played against all honest models and all thieves, two policies at a time: the engine has no state.
//! 3. Two tables are printed, and the same figures drawn as SVG by hand: two panels, one row per model, one mark per policy.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use regrant_engine::{
    simulation::{Figures, Hunt, Model, Protocol, SignOuts, Tactic, Thief, VictimHours, hunt, sign_outs},
    time::Seconds,
};

/// Plays, prints and draws.
pub(crate) fn run(args: Vec<String>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("xtask simulate: {wrong}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    if options.help {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let protocols = if options.figures { figures_to_try() } else { Protocol::COMPARED.to_vec() };
    let results = play(&protocols, &options);
    print!("{}", tables(&results, &options));
    match write_plot(&options.svg, &plot(&results, &options)) {
        Ok(()) => {
            println!("\nPlot: {}", options.svg.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask simulate: {} cannot be written: {error}", options.svg.display());
            ExitCode::FAILURE
        }
    }
}

const HELP: &str = "\
cargo xtask simulate [--seed N] [--refreshes N] [--svg FILE] [--figures]

  --seed N        another run of chance (1)
  --refreshes N   for each honest model (300000)
  --svg FILE      where the plot goes (target/simulation.svg)
  --figures       our table with other figures, instead of other policies";

struct Options {
    seed: u64,
    refreshes: u32,
    svg: PathBuf,
    figures: bool,
    help: bool,
}

impl Options {
    fn parse(args: Vec<String>) -> Result<Self, String> {
        let mut options = Self {
            seed: 1,
            refreshes: 300_000,
            svg: PathBuf::from("target/simulation.svg"),
            figures: false,
            help: false,
        };
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{name}` wants a value"));
            match name.as_str() {
                "--seed" => options.seed = number(&value()?)?,
                "--refreshes" => options.refreshes = number(&value()?)?,
                "--svg" => options.svg = PathBuf::from(value()?),
                "--figures" => options.figures = true,
                "--help" | "-h" => options.help = true,
                unknown => return Err(format!("there is no option `{unknown}`")),
            }
        }
        Ok(options)
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits"))
}

/// Our own figures first, then one thing changed at a time.
fn figures_to_try() -> Vec<Protocol> {
    let own = Figures::DEFAULT;
    [
        own,
        Figures { limit: 2, ..own },
        Figures { limit: 4, ..own },
        Figures { limit: 5, ..own },
        Figures { foreign: 1, ..own },
        Figures { foreign: 3, ..own },
        Figures { limit: 4, foreign: 3, ..own },
        Figures { burst: Seconds(3), ..own },
        Figures { burst: Seconds(30), ..own },
        Figures { twins: Seconds(2), ..own },
        Figures { networks: 2, ..own },
        Figures { networks: 8, ..own },
        Figures { twins: Seconds(2), networks: 8, ..own },
    ]
    .map(Protocol::Tuned)
    .to_vec()
}

/// What one policy came to.
struct Played {
    name: String,
    honest: Vec<(Model, SignOuts)>,
    thieves: Vec<(Thief, Hunt)>,
}

fn play(protocols: &[Protocol], options: &Options) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(protocol) = protocols.get(index) else { break };
                    let played = play_one(protocol, options);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, played));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, played)| played).collect()
}

fn play_one(protocol: &Protocol, options: &Options) -> Played {
    let models = Model::PROMISED.into_iter().chain(Model::BEYOND);
    Played {
        name: protocol.name(),
        honest: models.map(|model| (model, sign_outs(protocol, model, options.refreshes, options.seed))).collect(),
        thieves: Thief::COMPARED
            .into_iter()
            .map(|thief| {
                // Who peeks every 5 seconds for 7 days is dear to play, and every theft goes alike.
                let thefts = if thief.tactic == Tactic::InStepWatching { 11 } else { THEFTS };
                (thief, hunt(protocol, thief, VictimHours::Always, thefts, options.seed))
            })
            .collect(),
    }
}

const THEFTS: u32 = 501;

fn tables(results: &[Played], options: &Options) -> String {
    let mut text = format!(
        "Honest clients: sign-outs per 100,000 refreshes ({} refreshes each, seed {}; in brackets: beyond the promise)\n\n",
        grouped(options.refreshes),
        options.seed
    );
    text += &table(results, |played| {
        let cells = played.honest.iter();
        cells.map(|(model, count)| (model.name().to_owned(), per_100_000(count.per_100_000()))).collect()
    });
    let _ = write!(
        text,
        "\nThieves: access tokens until found, median/most ({THEFTS} thefts each, 7 days; a tab that is always open)\n\
         with the share that was found where it is not all, and `t`: found by the thief's own use more often than by the victim's\n\n"
    );
    text += &table(results, |played| {
        let cells = played.thieves.iter();
        cells.map(|(thief, hunt)| (thief.name(), tokens(hunt))).collect()
    });
    text
}

/// One decimal below ten, where it matters.
fn per_100_000(figure: f64) -> String {
    if figure > 0.0 && figure < 10.0 { format!("{figure:.1}") } else { grouped(figure.round() as u32) }
}

fn tokens(hunt: &Hunt) -> String {
    let mut cell = format!("{}/{}", grouped(hunt.median_tokens()), grouped(hunt.most_tokens()));
    if hunt.found() == 0.0 {
        cell += " never";
    } else if hunt.found() < 1.0 {
        let _ = write!(cell, " {:.0} %", hunt.found() * 100.0);
    }
    if hunt.found() > 0.0 && hunt.by_victim() < 0.5 {
        cell += " t";
    }
    cell
}

fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// One row per policy. A heading may take several lines, a word each, so that the columns stay narrow.
fn table(results: &[Played], cells_of: impl Fn(&Played) -> Vec<(String, String)>) -> String {
    let rows: Vec<(&str, Vec<(String, String)>)> =
        results.iter().map(|played| (played.name.as_str(), cells_of(played))).collect();
    let headings: Vec<Vec<String>> =
        rows.first().map(|(_, cells)| cells.iter().map(|(heading, _)| folded(heading)).collect()).unwrap_or_default();
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let cells = rows.iter().filter_map(|(_, cells)| cells.get(column)).map(|(_, cell)| cell.chars().count());
            heading.iter().map(|word| word.chars().count()).chain(cells).max().unwrap_or(0)
        })
        .collect();
    let name_width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let height = headings.iter().map(Vec::len).max().unwrap_or(0);

    let mut text = String::new();
    for line in 0..height {
        let _ = write!(text, "{:name_width$}", if line + 1 == height { "policy" } else { "" });
        for (heading, width) in headings.iter().zip(&widths) {
            // The last line of each heading stands on the rule.
            let skipped = height - heading.len();
            let word = line.checked_sub(skipped).and_then(|line| heading.get(line)).map_or("", String::as_str);
            let _ = write!(text, "  {word:>width$}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", "─".repeat(name_width + widths.iter().map(|width| width + 2).sum::<usize>()));
    for (name, cells) in &rows {
        let _ = write!(text, "{name:name_width$}");
        for ((_, cell), width) in cells.iter().zip(&widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

/// Words joined into lines of at most twelve characters where that is possible.
fn folded(heading: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in heading.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= 12 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn write_plot(file: &Path, svg: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, svg)
}

/// Two panels side by side, each with one row per model and one lane per policy in it, on a scale of powers of ten.
fn plot(results: &[Played], options: &Options) -> String {
    let honest = Panel {
        left: 0.0,
        title: "Honest clients: sign-outs per 100,000 refreshes",
        note: "in brackets: beyond what is promised; the dashed line is the promise, 2",
        promise: Some(2.0),
        top: 100_000.0,
        rows: rows_of(results, |played| {
            let cells = played.honest.iter();
            cells.map(|(model, count)| (model.name().to_owned(), count.per_100_000(), true)).collect()
        }),
    };
    let thieves = Panel {
        left: WIDTH / 2.0,
        title: "Thieves: median access tokens within seven days",
        note: "hollow: some are never found",
        promise: None,
        top: 10_000.0,
        rows: rows_of(results, |played| {
            let cells = played.thieves.iter();
            cells.map(|(thief, hunt)| (thief.name(), f64::from(hunt.median_tokens()), hunt.found() >= 1.0)).collect()
        }),
    };
    let lanes = results.len() as f64;
    let rows = honest.rows.len().max(thieves.rows.len()) as f64;
    let height = TOP + rows * row_height(lanes) + 70.0 + legend_height(results);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">Rotation policies: who is signed out by mistake, and what a thief gets</title>\n\
         <desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
        escaped(&spoken(results, options))
    );
    honest.draw(&mut svg, lanes);
    thieves.draw(&mut svg, lanes);
    for (index, played) in results.iter().enumerate() {
        let (column, line) = ((index % LEGEND_COLUMNS) as f64, (index / LEGEND_COLUMNS) as f64);
        let (x, y) = (
            30.0 + column * (WIDTH - 60.0) / LEGEND_COLUMNS as f64,
            TOP + rows * row_height(lanes) + 70.0 + line * 22.0,
        );
        let _ = writeln!(
            svg,
            "<circle fill=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            colour(index),
            x + 10.0,
            y + 4.0,
            escaped(&played.name)
        );
    }
    svg += "</svg>\n";
    svg
}

/// One row's name, and for each policy the figure and whether it is whole (every thief was found).
type Row = (String, Vec<(f64, bool)>);

fn rows_of(results: &[Played], cells_of: impl Fn(&Played) -> Vec<(String, f64, bool)>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for played in results {
        for (index, (name, figure, whole)) in cells_of(played).into_iter().enumerate() {
            if rows.len() <= index {
                rows.push((name, Vec::new()));
            }
            if let Some((_, figures)) = rows.get_mut(index) {
                figures.push((figure, whole));
            }
        }
    }
    rows
}

struct Panel {
    left: f64,
    title: &'static str,
    note: &'static str,
    promise: Option<f64>,
    /// The right end of the scale.
    top: f64,
    rows: Vec<Row>,
}

impl Panel {
    fn draw(&self, svg: &mut String, lanes: f64) {
        let bottom = TOP + self.rows.len() as f64 * row_height(lanes);
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{0}\" y=\"30\">{1}</text>\n<text class=\"note\" x=\"{0}\" y=\"50\">{2}</text>",
            self.left + 20.0,
            self.title,
            self.note
        );
        let mut tick = 0.0;
        while tick <= self.top {
            let x = self.x(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
                 <text class=\"note\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 18.0,
                grouped(tick as u32)
            );
            tick = if tick == 0.0 { 1.0 } else { tick * 10.0 };
        }
        if let Some(promise) = self.promise {
            let x = self.x(promise);
            let _ =
                writeln!(svg, "<line class=\"promise\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>");
        }
        for (index, (name, figures)) in self.rows.iter().enumerate() {
            let y = TOP + index as f64 * row_height(lanes);
            if index % 2 == 0 {
                let _ = writeln!(
                    svg,
                    "<rect class=\"band\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    self.left + 14.0,
                    WIDTH / 2.0 - 28.0,
                    row_height(lanes)
                );
            }
            let _ = writeln!(
                svg,
                "<text text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                self.left + NAMES - 12.0,
                y + row_height(lanes) / 2.0 + 4.0,
                escaped(name)
            );
            for (lane, (figure, whole)) in figures.iter().enumerate() {
                let lane_y = y + 3.0 + LANE * (lane as f64 + 0.5);
                let _ = writeln!(
                    svg,
                    "<g stroke=\"{0}\" fill=\"{0}\"><line class=\"stem\" x1=\"{1:.1}\" x2=\"{x:.1}\" y1=\"{lane_y:.1}\" \
                     y2=\"{lane_y:.1}\"/><circle class=\"{2}\" cx=\"{x:.1}\" cy=\"{lane_y:.1}\" r=\"3.2\"/></g>",
                    colour(lane),
                    self.x(0.0),
                    if *whole { "full" } else { "hollow" },
                    x = self.x(*figure)
                );
            }
        }
    }

    /// Zero has a place on the scale, a decade below one.
    fn x(&self, figure: f64) -> f64 {
        let scaled = |figure: f64| if figure <= 0.1 { 0.0 } else { figure.log10() + 1.0 };
        let width = WIDTH / 2.0 - NAMES - 40.0;
        self.left + NAMES + width * (scaled(figure) / scaled(self.top)).min(1.0)
    }
}

/// All the figures in words, for who cannot see them.
fn spoken(results: &[Played], options: &Options) -> String {
    let mut text = format!("Seed {}. ", options.seed);
    for played in results {
        let _ = write!(text, "{}: sign-outs per 100,000 refreshes: ", played.name);
        let honest = played.honest.iter();
        let parts: Vec<String> =
            honest.map(|(model, count)| format!("{} {}", model.name(), per_100_000(count.per_100_000()))).collect();
        let _ = write!(text, "{}; median access tokens of a thief: ", parts.join(", "));
        let thieves = played.thieves.iter();
        let parts: Vec<String> = thieves
            .map(|(thief, hunt)| {
                let found = if hunt.found() >= 1.0 { "" } else { ", not always found" };
                format!("{} {}{found}", thief.name(), hunt.median_tokens())
            })
            .collect();
        let _ = write!(text, "{}. ", parts.join("; "));
    }
    text
}

fn row_height(lanes: f64) -> f64 {
    lanes * LANE + 6.0
}

fn legend_height(results: &[Played]) -> f64 {
    results.len().div_ceil(LEGEND_COLUMNS) as f64 * 22.0
}

/// Okabe and Ito's colours, which most eyes tell apart, on light paper and on dark; more policies begin anew.
fn colour(index: usize) -> &'static str {
    const COLOURS: [&str; 7] = ["#d55e00", "#e69f00", "#cc79a7", "#8c8c8c", "#0084d6", "#009e73", "#56b4e9"];
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or("gray")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 1280.0;
const TOP: f64 = 66.0;
/// The room for the names of a panel's rows.
const NAMES: f64 = 210.0;
const LANE: f64 = 6.5;
const LEGEND_COLUMNS: usize = 3;
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1b1b1b}.title{font-size:16px;font-weight:600}.note{font-size:12px;fill:#5a5a5a}\
.paper{fill:#ffffff}.band{fill:#7f7f7f;fill-opacity:.09}.grid{stroke:#7f7f7f;stroke-opacity:.3}\
.promise{stroke:#7f7f7f;stroke-dasharray:5 4}.stem{stroke-opacity:.55;stroke-width:1.6}.hollow{fill:none;stroke-width:1.6}\
@media(prefers-color-scheme:dark){text{fill:#ececec}.note{fill:#a8a8a8}.paper{fill:#16181c}}";
