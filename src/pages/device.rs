//! Names a browser for the list of sessions, and chooses its picture.

/// Parts of a User-Agent with the names that they stand for. The first match counts, because many browsers
/// also claim to be others.
const BROWSERS: [(&str, &str); 7] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Returns a name such as `Firefox on Linux`.
#[must_use]
pub(crate) fn name(user_agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = find(&BROWSERS).unwrap_or("A browser");
    find(&SYSTEMS).map_or_else(|| browser.to_owned(), |system| format!("{browser} on {system}"))
}

/// Returns the picture of a device by its name: one of `static/icons.svg`.
#[must_use]
pub(crate) fn icon(name: &str) -> &'static str {
    let system = name.rsplit_once(" on ").map_or("", |(_, system)| system);
    match system {
        "iPhone" | "Android" => "phone",
        "iPad" => "tablet",
        _ if SYSTEMS.iter().any(|(_, known)| *known == system) || name == "A browser" => "laptop",
        _ => "terminal",
    }
}

#[cfg(test)]
mod tests {
    use super::{icon, name};

    #[test]
    fn picture_follows_the_system() {
        for (name, picture) in [
            ("Firefox on Linux", "laptop"),
            ("Safari on iPhone", "phone"),
            ("Chrome on Android", "phone"),
            ("Safari on iPad", "tablet"),
            ("A browser", "laptop"),
            ("curl on my laptop", "terminal"),
            ("API client without a name", "terminal"),
            ("", "terminal"),
        ] {
            assert_eq!(icon(name), picture, "{name}");
        }
    }

    #[test]
    fn browser_is_recognized_despite_its_compatibility_claims() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 \
                      Safari/537.36";
        assert_eq!(name(chrome), "Chrome on Windows");
        assert_eq!(name(&format!("{chrome} Edg/156.0")), "Edge on Windows");
        assert_eq!(name("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko Firefox/150.0"), "Firefox on Linux");
        assert_eq!(name("curl/8.5"), "A browser");
    }
}
