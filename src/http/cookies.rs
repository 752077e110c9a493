//! Names and settings of the cookies.

use std::time::Duration;

/// The cookie that protects forms shown before a sign-in, such as the login form, from cross-site requests.
pub const FORM_COOKIE: &str = "doorward-form";

/// The cookie with the choice of colours. The pages' script writes it too, so its name never has a prefix.
pub(crate) const THEME_COOKIE: &str = "doorward-theme";
/// The values of that cookie.
pub(crate) const THEMES: [&str; 3] = ["system", "light", "dark"];

/// The settings for browsers and their cookies.
#[derive(Clone, Debug)]
pub struct BrowserSettings {
    /// The origin of the public URL (RFC 6454), for the check against cross-site requests.
    pub origin: String,
    /// Further origins whose scripts may call the API.
    pub script_origins: Vec<String>,
    /// True if the public URL is https. Cookies are then `Secure` and have the prefix `__Host-`.
    pub secure: bool,
    /// The time after which an unused session expires.
    pub idle_ttl: Duration,
    /// The time after which an unused session expires if the user chose to stay signed in.
    pub kept_ttl: Duration,
}

impl BrowserSettings {
    /// Returns the full name of a cookie (RFC 6265bis, section 4.1.3.2). Over https, the prefix `__Host-`
    /// ensures that no other host can have set it.
    #[must_use]
    pub fn cookie_name(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    pub fn session_cookie(&self) -> String {
        self.cookie_name("doorward")
    }

    pub fn cookie_names(&self) -> [String; 2] {
        [self.session_cookie(), self.cookie_name(FORM_COOKIE)]
    }
}
