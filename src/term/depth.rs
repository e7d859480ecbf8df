//! What the environment says of how many colours a terminal shows.

/// Whether COLORTERM, or a terminal's name in TERM, promises colours of 24 bits.
pub fn has_true_color(colorterm: &str, term: &str) -> bool {
    matches!(colorterm, "truecolor" | "24bit")
        || ["direct", "kitty", "alacritty", "foot", "ghostty", "wezterm"].iter().any(|name| term.contains(name))
}
