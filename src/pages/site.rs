//! The looks that the operator gives to the pages: a name, a logo, a colour and a support contact.

use std::cell::RefCell;
use std::sync::Arc;

use super::assets::Asset;
use crate::colour::Colour;

/// The looks of the pages.
pub(crate) struct Site {
    pub name: String,
    pub support: Option<Support>,
    style: Option<Asset>,
    logo: Option<Asset>,
}

/// The contact that people ask for help.
pub(crate) struct Support {
    /// The URL of the link, whose scheme is `https`, `http` or `mailto`.
    pub href: String,
    pub text: String,
}

pub(crate) enum ImageFormat {
    Png,
    Svg,
}

impl Site {
    #[must_use]
    pub(crate) fn new(
        name: String,
        support: Option<Support>,
        colour: Option<Colour>,
        logo: Option<(ImageFormat, Vec<u8>)>,
    ) -> Self {
        let style = colour.map(|colour| {
            let rule = format!(":root {{ --accent: {colour}; --on-accent: {}; }}\n", Colour::WHITE);
            Asset::new("site.css", "text/css; charset=utf-8", rule)
        });
        let logo = logo.map(|(format, bytes)| match format {
            ImageFormat::Png => Asset::new("logo.png", "image/png", bytes),
            ImageFormat::Svg => Asset::new("logo.svg", "image/svg+xml", bytes),
        });
        Self { name, support, style, logo }
    }

    /// Returns the stylesheet with the operator's colour, if there is one.
    #[must_use]
    pub(crate) fn style(&self) -> Option<&Asset> {
        self.style.as_ref()
    }

    /// Returns the operator's logo, if there is one.
    #[must_use]
    pub(crate) fn logo(&self) -> Option<&Asset> {
        self.logo.as_ref()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new("doorward".to_owned(), None, None, None)
    }
}

thread_local! {
    static SITE: RefCell<Arc<Site>> = RefCell::new(Arc::new(Site::default()));
}

/// Sets the looks of all pages that this thread renders. A thread serves only one server, so that every page
/// has them without passing them on.
pub(crate) fn set_for_thread(site: &Arc<Site>) {
    SITE.set(Arc::clone(site));
}

/// Returns the looks of the pages that this thread renders.
#[must_use]
pub(crate) fn of_thread() -> Arc<Site> {
    SITE.with_borrow(Arc::clone)
}
