//! The operator's brand on the pages: a name, a logo and one colour.
//!
//! The colour is a wish. What is drawn is the nearest shade of it that can be read (WCAG 2.2 §1.4.3: 4.5 to 1), one on the light
//! ground and one on the dark; so no choice of colour keeps anybody out.

use std::{io::Read as _, path::Path};

use axum::body::Bytes;
use regrant_engine::client::redirect_uri::check_web;

use super::STYLE;
use crate::{config::Config, text::is_hidden};

/// The largest logo that we serve, in bytes: every page asks for it.
const LARGEST_LOGO: u64 = 256 * 1024;
/// The longest name, in characters.
const LONGEST_NAME: usize = 60;
/// Where our copy of the logo is.
pub(crate) const LOGO_PATH: &str = "/assets/logo";

/// What of the pages is the operator's.
#[derive(Debug)]
pub(crate) struct Brand {
    pub(super) name: Option<String>,
    logo: Option<Logo>,
    /// The style sheet, with the colour.
    pub(crate) style: Bytes,
}

#[derive(Debug)]
enum Logo {
    /// At this https address.
    Elsewhere(String),
    /// Read from a file, and served by us.
    Here(Bytes, &'static str),
}

impl Default for Brand {
    fn default() -> Self {
        Self { name: None, logo: None, style: Bytes::from_static(STYLE.as_bytes()) }
    }
}

impl Brand {
    /// As the configuration says it. The sentence begins with the key that is wrong.
    pub(crate) fn of(config: &Config) -> Result<Self, String> {
        let server = &config.server;
        if server.brand_name.as_ref().is_some_and(|name| !is_name(name)) {
            return Err(format!("server.brand_name must be 1 to {LONGEST_NAME} characters, none of them hidden"));
        }
        let logo = server.brand_logo.as_deref().map(logo).transpose()?;
        let style = match &server.brand_accent {
            None => Bytes::from_static(STYLE.as_bytes()),
            Some(text) => styled(Colour::parse(text).ok_or_else(|| {
                format!(
                    "server.brand_accent must be a colour like \"#0b57a4\", and \"{}\" is none",
                    text.escape_debug()
                )
            })?),
        };
        Ok(Self { name: server.brand_name.clone(), logo, style })
    }

    /// Where pages find the logo.
    pub(super) fn logo(&self) -> Option<&str> {
        match self.logo.as_ref()? {
            Logo::Elsewhere(uri) => Some(uri),
            Logo::Here(..) => Some(LOGO_PATH),
        }
    }

    /// The logo itself and its media type, if we serve it.
    pub(crate) fn served_logo(&self) -> Option<(Bytes, &'static str)> {
        match self.logo.as_ref()? {
            Logo::Elsewhere(_) => None,
            Logo::Here(bytes, kind) => Some((bytes.clone(), kind)),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.trim().is_empty() && !name.chars().any(is_hidden)
}

fn logo(text: &str) -> Result<Logo, String> {
    if text.starts_with("https://") {
        return check_web(text)
            .map(|()| Logo::Elsewhere(text.to_owned()))
            .map_err(|why| format!("server.brand_logo cannot be used: {why}"));
    }
    if text.contains("://") {
        return Err("server.brand_logo must be an https:// address or a file: pages load nothing else".to_owned());
    }
    let path = Path::new(text);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    let kind = match extension.as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        _ => return Err("server.brand_logo must end in .svg, .png, .jpg or .webp".to_owned()),
    };
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("server.brand_logo: cannot read {shown}: {error}");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(LARGEST_LOGO + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.is_empty() || bytes.len() as u64 > LARGEST_LOGO {
        return Err(format!("server.brand_logo: {shown} must have 1 to {LARGEST_LOGO} bytes"));
    }
    Ok(Logo::Here(bytes.into(), kind))
}

/// The style sheet with the nearest shades that can be read.
fn styled(accent: Colour) -> Bytes {
    let (light, dark) = (accent.readable_on(LIGHT), accent.readable_on(DARK));
    let rules = format!(
        "\n:root {{ --accent: {light}; }}\n@media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; }} }}\n"
    );
    Bytes::from(STYLE.to_owned() + &rules)
}

/// An sRGB colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Colour([u8; 3]);

/// `--ground` of the light pages: of what the accent stands on, the one nearest to it.
const LIGHT: Colour = Colour([0xf6, 0xf7, 0xf9]);
/// `--card` of the dark pages, likewise.
const DARK: Colour = Colour([0x16, 0x1b, 0x22]);
/// WCAG 2.2 §1.4.3, level AA.
const READABLE: f64 = 4.5;

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// `#rrggbb`.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126f64.mul_add(red, 0.7152f64.mul_add(green, 0.0722 * blue))
    }

    /// WCAG 2.2, "contrast ratio".
    fn contrast(self, other: Self) -> f64 {
        let (one, another) = (self.luminance() + 0.05, other.luminance() + 0.05);
        if one > another { one / another } else { another / one }
    }

    /// The nearest shade of it, towards black on a light ground and towards white on a dark one.
    fn readable_on(self, ground: Self) -> Self {
        let end = if ground.luminance() > 0.5 { 0 } else { 255 };
        let shades = (0..=100u32).map(|step| {
            Self(self.0.map(|part| {
                let mixed = (u32::from(part) * (100 - step) + end * step) / 100;
                u8::try_from(mixed).unwrap_or(u8::MAX)
            }))
        });
        let last = u8::try_from(end).unwrap_or(u8::MAX);
        shades.into_iter().find(|shade| shade.contrast(ground) >= READABLE).unwrap_or(Self([last; 3]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_becomes_one_that_can_be_read() {
        for step in 0..=4096u32 {
            let [_, red, green, blue] = (step * 4095).to_be_bytes();
            let accent = Colour([red, green, blue]);
            let (light, dark) = (accent.readable_on(LIGHT), accent.readable_on(DARK));
            // As a link on ground and card, and as a button below its text.
            for other in [LIGHT, Colour([255; 3])] {
                assert!(light.contrast(other) >= READABLE, "{accent} as {light}");
            }
            for other in [DARK, Colour([0x0d, 0x11, 0x17])] {
                assert!(dark.contrast(other) >= READABLE, "{accent} as {dark}");
            }
        }
        let usual = Colour::parse("#0b57a4").unwrap();
        assert_eq!(usual.readable_on(LIGHT), usual, "what can be read stays as it is");
    }

    #[test]
    fn the_style_sheet_has_the_grounds_that_are_reckoned_with() {
        let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
        assert!(light.contains(&format!("--ground: {LIGHT};")) && light.contains("--card: #ffffff;"));
        assert!(dark.contains(&format!("--card: {DARK};")) && dark.contains("--ground: #0d1117;"));
        assert!(light.contains("--on-accent: #ffffff;") && dark.contains("--on-accent: #0d1117;"));
    }

    fn of(name: &str, value: &str) -> Result<Brand, String> {
        let config: Config = toml::from_str(&format!("[server]\n{name} = '{value}'")).unwrap();
        Brand::of(&config)
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        for (name, value) in [
            ("brand_name", ""),
            ("brand_name", " "),
            ("brand_logo", "http://example.com/logo.png"),
            ("brand_logo", "https://"),
            ("brand_logo", "https://example.com/a b"),
            ("brand_logo", "logo.exe"),
            ("brand_logo", "/nowhere/at/all.png"),
            ("brand_accent", "blue"),
            ("brand_accent", "#12345"),
            ("brand_accent", "#+12345"),
            ("brand_accent", "#123456; } body { display: none"),
        ] {
            let why = of(name, value).expect_err(value);
            assert!(why.starts_with(&format!("server.{name}")), "{why}");
        }
        let elsewhere = of("brand_logo", "https://cdn.example/logo.svg?v=2").unwrap();
        assert_eq!(elsewhere.logo(), Some("https://cdn.example/logo.svg?v=2"));
        assert!(elsewhere.served_logo().is_none());
        let coloured = of("brand_accent", "#FFDD00").unwrap();
        let style = std::str::from_utf8(&coloured.style).unwrap();
        assert!(style.starts_with(STYLE) && style.contains("dark) { :root { --accent: #ffdd00; } }"), "{style}");
    }

    #[test]
    fn a_file_is_served_as_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Logo.PNG");
        std::fs::write(&path, b"not looked at").unwrap();
        let brand = of("brand_logo", path.to_str().unwrap()).unwrap();
        assert_eq!((brand.logo(), brand.served_logo().unwrap().1), (Some(LOGO_PATH), "image/png"));
        std::fs::write(&path, vec![0; 256 * 1024 + 1]).unwrap();
        assert!(of("brand_logo", path.to_str().unwrap()).is_err());
    }
}
