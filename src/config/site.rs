//! The settings for the looks of the pages: the name, the colour and the support contact of the site.

use std::fmt;

use url::{Host, Url};

use super::secret::is_unseen;
use crate::colour::{CONTRAST_MIN, Colour};

/// The longest name of the site, in characters. It must fit the header of a narrow screen.
const NAME_MAX: usize = 60;
/// The longest support contact, in bytes.
const CONTACT_MAX: usize = 500;

pub(super) fn read_name(text: &str) -> Result<String, String> {
    if text.trim() != text || text.chars().any(is_unseen) {
        return Err("it has an invisible character, or a space at its start or end".to_owned());
    }
    let characters = text.chars().count();
    if characters > NAME_MAX {
        return Err(format!("it has {characters} characters"));
    }
    Ok(text.to_owned())
}

/// Parses the colour of buttons.
pub(super) fn read_colour(text: &str) -> Result<Colour, String> {
    let colour = Colour::parse(text).ok_or("it is not # with 3 or 6 hexadecimal digits")?;
    let contrast = colour.contrast(Colour::WHITE);
    if contrast < CONTRAST_MIN {
        // Rounded down, so that a message never says that 4.50 is less than 4.5.
        let contrast = (contrast * 100.0).floor() / 100.0;
        return Err(format!("white text on it has a contrast of only {contrast:.2}:1; choose a darker one"));
    }
    Ok(colour)
}

/// The contact that people ask for help: a page or an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportContact {
    href: String,
    text: String,
}

impl SupportContact {
    /// Parses an e-mail address or a URL. Only schemes that cannot run a script are accepted.
    ///
    /// # Errors
    /// The message says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > CONTACT_MAX {
            return Err(format!("it is longer than {CONTACT_MAX} bytes"));
        }
        let is_wrong =
            |letter: char| letter.is_whitespace() || is_unseen(letter) || "\\\"'<>`".contains(letter);
        if text.contains(is_wrong) {
            return Err("it has a space, an invisible character, a quotation mark, < or >".to_owned());
        }
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("https://") || lower.starts_with("http://") {
            let url = Url::parse(text).map_err(|error| error.to_string())?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err("it has a username or a password".to_owned());
            }
            return Ok(Self { href: url.into(), text: text.to_owned() });
        }
        let address = if lower.starts_with("mailto:") { &text["mailto:".len()..] } else { text };
        if !is_email_address(address) {
            return Err("it is neither an e-mail address nor such a URL".to_owned());
        }
        Ok(Self { href: format!("mailto:{address}"), text: address.to_owned() })
    }

    /// Returns the URL of a link to the contact.
    #[must_use]
    pub fn href(&self) -> &str {
        &self.href
    }

    /// Returns the contact as people read it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SupportContact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Returns true for an address whose local part needs no escapes in a `mailto:` URL (RFC 6068, section 2).
fn is_email_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!$*+-./=^_{|}~".contains(&byte);
    let is_domain = !domain.contains(|letter: char| ":/?#[]@%".contains(letter))
        && matches!(Host::parse(domain), Ok(Host::Domain(_)));
    !local.is_empty() && local.bytes().all(is_plain) && is_domain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_short_and_visible() {
        for good in ["Acme", "Stadtwerke Köln · Anmeldung", &"x".repeat(NAME_MAX), "株式会社"] {
            assert_eq!(read_name(good), Ok(good.to_owned()));
        }
        for wrong in [" Acme", "Acme ", "A\nB", "A\u{200b}B", "A\u{202e}B", &"x".repeat(NAME_MAX + 1)] {
            assert!(read_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn colour_must_carry_white_text() {
        assert_eq!(read_colour("#7A1FA2").unwrap().to_string(), "#7a1fa2");
        assert_eq!(read_colour("purple").unwrap_err(), "it is not # with 3 or 6 hexadecimal digits");
        assert_eq!(
            read_colour("#ffcc00").unwrap_err(),
            "white text on it has a contrast of only 1.51:1; choose a darker one"
        );
        assert!(read_colour("#767676").is_ok() && read_colour("#777").unwrap_err().contains("4.47:1"));
    }

    #[test]
    fn support_contact_is_an_address_or_a_web_page() {
        for (text, href, shown) in [
            ("help@example.org", "mailto:help@example.org", "help@example.org"),
            ("MAILTO:help+it@example.org", "mailto:help+it@example.org", "help+it@example.org"),
            ("https://example.org/help?q=1", "https://example.org/help?q=1", "https://example.org/help?q=1"),
            ("http://wiki", "http://wiki/", "http://wiki"),
        ] {
            let contact = SupportContact::read(text).unwrap();
            assert_eq!((contact.href(), contact.text()), (href, shown));
        }
    }

    #[test]
    fn support_contact_never_runs_a_script() {
        for wrong in [
            "javascript:alert(1)",
            "JavaScript:alert(1)//@example.org",
            "data:text/html,<script>",
            "vbscript:x",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "https://example.org/\"onclick=\"x",
            "https://me:secret@example.org",
            "mailto:a@example.org?body=x",
            "a@b@example.org",
            "@example.org",
            "help@",
            "help",
            "//example.org",
            "https://",
            "a%0d@example.org",
        ] {
            assert!(SupportContact::read(wrong).is_err(), "{wrong}");
        }
    }
}
