//! Renders a Markdown document as the body of a page: headings get anchors and a table of contents, and
//! nothing is wider than a narrow window. The sources are our own, so their HTML is trusted.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::code_colours::coloured;

/// The languages of code blocks that show a response to the command above them.
const ANSWERS: [&str; 3] = ["json", "http", "text"];

/// A rendered document.
pub(crate) struct Rendered {
    pub title: String,
    /// The sections in the table of contents.
    pub contents: Vec<Section>,
    /// The HTML before the first section.
    pub introduction: String,
    /// The HTML of the sections.
    pub sections: String,
}

/// An entry in the table of contents.
pub(crate) struct Section {
    /// The anchor of the section's heading.
    pub anchor: String,
    pub title: String,
}

/// Renders a document.
#[must_use]
pub(crate) fn render(source: &str) -> Rendered {
    let (mut title, mut contents) = (String::new(), Vec::new());
    let mut anchors = Anchors::default();
    let (mut introduction, mut sections) = (Vec::new(), Vec::new());
    let mut parser = Parser::new_ext(source, Options::ENABLE_TABLES);
    while let Some(event) = parser.next() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let inner: Vec<Event<'_>> = parser
                    .by_ref()
                    .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
                    .collect();
                let text = text_of(&inner);
                let anchor = anchors.make(&text);
                let shown = heading(level, &anchor, inner);
                match level {
                    HeadingLevel::H1 => title = text,
                    HeadingLevel::H2 => contents.push(Section { anchor, title: text }),
                    _ => {}
                }
                if contents.is_empty() { introduction.extend(shown) } else { sections.extend(shown) }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let code: Vec<Event<'_>> = parser
                    .by_ref()
                    .take_while(|event| !matches!(event, Event::End(TagEnd::CodeBlock)))
                    .collect();
                let part = if contents.is_empty() { &mut introduction } else { &mut sections };
                part.push(code_block(&kind, &text_of(&code)));
            }
            other => {
                let part = if contents.is_empty() { &mut introduction } else { &mut sections };
                part.extend(fitted(other));
            }
        }
    }
    Rendered { title, contents, introduction: html_of(introduction), sections: html_of(sections) }
}

fn html_of(events: Vec<Event<'_>>) -> String {
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    text
}

/// Returns a heading that links to itself. The title of the document has no link.
fn heading<'a>(level: HeadingLevel, anchor: &str, inner: Vec<Event<'a>>) -> Vec<Event<'a>> {
    let mut events = vec![Event::Html(format!("<{level} id=\"{anchor}\">").into())];
    let links = level != HeadingLevel::H1;
    if links {
        events.push(Event::Html(format!("<a class=\"anchor\" href=\"#{anchor}\">").into()));
    }
    events.extend(inner);
    events.push(Event::Html(format!("{}</{level}>\n", if links { "</a>" } else { "" }).into()));
    events
}

/// Returns a code block with its colours.
fn code_block(kind: &CodeBlockKind<'_>, code: &str) -> Event<'static> {
    let language = if let CodeBlockKind::Fenced(language) = kind { language.as_ref() } else { "" };
    let class = if ANSWERS.contains(&language) { " class=\"answer\"" } else { "" };
    let code = coloured(language, code);
    Event::Html(format!("<pre{class} tabindex=\"0\"><code>{code}</code></pre>\n").into())
}

/// Makes wide content scroll within itself, also with the keyboard. Points links to other documents at their
/// pages.
fn fitted(event: Event<'_>) -> Vec<Event<'_>> {
    match event {
        Event::Start(Tag::Table(_)) => {
            vec![Event::Html("<div class=\"wide\" tabindex=\"0\">\n".into()), event]
        }
        Event::End(TagEnd::Table) => vec![event, Event::Html("</div>\n".into())],
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            vec![Event::Start(Tag::Link { link_type, dest_url: page_of(dest_url), title, id })]
        }
        other => vec![other],
    }
}

/// Returns the page for a link: `other.md#part` is a file in the folder `docs/`, served as `other#part`.
fn page_of(link: CowStr<'_>) -> CowStr<'_> {
    let (path, anchor) = link.split_once('#').map_or((&*link, None), |(path, anchor)| (path, Some(anchor)));
    match path.strip_suffix(".md").filter(|path| !path.contains(':')) {
        Some(path) => anchor.map_or(path.to_owned(), |anchor| format!("{path}#{anchor}")).into(),
        None => link,
    }
}

fn text_of(events: &[Event<'_>]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
        _ => None,
    });
    texts.collect()
}

/// The anchors used so far. They are those that GitHub generates, so that links work in both places.
#[derive(Default)]
struct Anchors(BTreeMap<String, usize>);

impl Anchors {
    fn make(&mut self, title: &str) -> String {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase();
        let count = self.0.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_anchors_and_second_level_ones_are_listed() {
        let document = render("# A `title`\n\n## Sign in & out\n\n### Deeper\n\n## Sign in & out\n");
        let contents: Vec<(&str, &str)> =
            document.contents.iter().map(|it| (it.anchor.as_str(), it.title.as_str())).collect();
        assert_eq!(document.title, "A title");
        assert_eq!(contents, [("sign-in--out", "Sign in & out"), ("sign-in--out-1", "Sign in & out")]);
        let shown =
            "<h2 id=\"sign-in--out\"><a class=\"anchor\" href=\"#sign-in--out\">Sign in &amp; out</a></h2>";
        assert_eq!(document.introduction, "<h1 id=\"a-title\">A <code>title</code></h1>\n");
        assert!(document.sections.starts_with(shown), "{}", document.sections);
    }

    #[test]
    fn code_is_escaped_and_scrollable_with_the_keyboard() {
        let document = render("```\necho \"<$A>\" & true\n```\n```json\n{}\n```\n");
        let shown = "<pre tabindex=\"0\"><code>echo \"&lt;$A&gt;\" &amp; true\n</code></pre>\n\
                     <pre class=\"answer\" tabindex=\"0\"><code>{}\n</code></pre>\n";
        assert_eq!(document.introduction, shown);
    }

    #[test]
    fn links_to_documents_lead_to_pages_and_others_stay() {
        let document = render("[a](other.md#part) [b](other.md) [c](/problems) [d](https://x.test/a.md)");
        for target in ["\"other#part\"", "\"other\"", "\"/problems\"", "\"https://x.test/a.md\""] {
            assert!(document.introduction.contains(&format!("href={target}")), "{}", document.introduction);
        }
    }
}
