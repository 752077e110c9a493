//! The names and flags of our cookies.

use std::time::Duration;

/// The cookie that binds a form which is shown before there is a session.
pub const FORM_COOKIE: &str = "doorward-form";

/// Settings of session cookies.
#[derive(Clone, Debug)]
pub struct BrowserSettings {
    /// The public URL's origin (RFC 6454), for the CSRF proof.
    pub origin: String,
    /// Other origins whose scripts may call the API.
    pub script_origins: Vec<String>,
    /// Whether the public URL is https: cookies are then `Secure` and `__Host-`.
    pub secure: bool,
    /// The lifetime of a session that is not used.
    pub idle_ttl: Duration,
    /// The same where the user asked to be kept signed in.
    pub kept_ttl: Duration,
}

impl BrowserSettings {
    /// A cookie's name (RFC 6265bis, section 4.1.3.2): over https no other host can have set it.
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
