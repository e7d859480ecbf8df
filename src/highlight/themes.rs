//! The themes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use syntect::dumps::{from_reader, from_uncompressed_data};
pub use syntect::highlighting::Theme;

static PACK: &[u8] = include_bytes!("themes.bin");

/// Each theme by name, still packed.
fn packed() -> &'static BTreeMap<String, Vec<u8>> {
    static THEMES: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    THEMES.get_or_init(|| from_uncompressed_data(PACK).unwrap_or_default())
}

/// Names of all themes, in order.
pub fn theme_names() -> impl Iterator<Item = &'static str> {
    packed().keys().map(String::as_str)
}

/// The theme of this name; case, blanks, dashes and underscores make no difference.
pub fn theme(name: &str) -> Option<Theme> {
    let key = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let wanted = key(name);
    let (_, bytes) = packed().iter().find(|(name, _)| key(name) == wanted)?;
    from_reader(bytes.as_slice()).ok()
}
