//! Marks the keywords, strings, comments, numbers and member names of code, so that the stylesheet can colour
//! them. It knows the few languages of our documents and guesses nothing else.

/// The parts of a language that get a colour.
struct Language {
    keywords: &'static [&'static str],
    /// The start of a comment, which ends with its line.
    comment: &'static str,
    quotes: &'static [char],
    /// The quotes of strings that may span lines.
    quotes_of_lines: &'static [char],
}

const SHELL: Language = Language {
    keywords: &[
        "case", "do", "done", "elif", "else", "esac", "exit", "export", "fi", "for", "if", "in", "local",
        "return", "set", "then", "trap", "while",
    ],
    comment: "#",
    quotes: &['"', '\''],
    quotes_of_lines: &['"', '\''],
};
const PYTHON: Language = Language {
    keywords: &[
        "and", "as", "class", "def", "elif", "else", "except", "False", "finally", "for", "from", "if",
        "import", "in", "is", "lambda", "None", "not", "or", "pass", "raise", "return", "self", "True",
        "try", "while", "with", "yield",
    ],
    comment: "#",
    quotes: &['"', '\''],
    quotes_of_lines: &[],
};
const JAVASCRIPT: Language = Language {
    keywords: &[
        "async",
        "await",
        "catch",
        "class",
        "const",
        "constructor",
        "else",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "if",
        "import",
        "let",
        "new",
        "null",
        "of",
        "return",
        "static",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "undefined",
        "while",
    ],
    comment: "//",
    quotes: &['"', '\'', '`'],
    quotes_of_lines: &['`'],
};
const RUST: Language = Language {
    keywords: &[
        "as", "async", "await", "const", "else", "enum", "Err", "false", "fn", "for", "if", "impl", "in",
        "let", "loop", "match", "mod", "move", "mut", "None", "Ok", "pub", "ref", "return", "self", "Self",
        "Some", "static", "struct", "true", "type", "use", "where", "while",
    ],
    comment: "//",
    quotes: &['"'],
    quotes_of_lines: &['"'],
};
const SQL: Language = Language {
    keywords: &["AND", "CREATE", "FROM", "GRANT", "INSERT", "ON", "SELECT", "SET", "TO", "UPDATE", "WHERE"],
    comment: "--",
    quotes: &['\''],
    quotes_of_lines: &[],
};
const JSON: Language =
    Language { keywords: &["false", "null", "true"], comment: "", quotes: &['"'], quotes_of_lines: &[] };

fn language(name: &str) -> Option<&'static Language> {
    match name {
        "sh" => Some(&SHELL),
        "python" => Some(&PYTHON),
        "js" => Some(&JAVASCRIPT),
        "rust" => Some(&RUST),
        "sql" => Some(&SQL),
        "json" | "http" => Some(&JSON),
        _ => None,
    }
}

/// Returns code as HTML: escaped, with its parts marked by classes.
#[must_use]
pub(crate) fn coloured(name: &str, code: &str) -> String {
    let mut html = String::with_capacity(code.len() * 2);
    let Some(language) = language(name) else {
        escape(code, &mut html);
        return html;
    };
    let mut rest = code;
    let mut before = '\n';
    while let Some(next) = rest.chars().next() {
        let (class, length) = part(language, rest, next, before);
        let (text, after) = rest.split_at(length);
        if let Some(class) = class {
            html.push_str("<span class=\"");
            html.push_str(class);
            html.push_str("\">");
        }
        escape(text, &mut html);
        if class.is_some() {
            html.push_str("</span>");
        }
        before = text.chars().next_back().unwrap_or(before);
        rest = after;
    }
    html
}

/// Returns the class and the length of the part at the beginning of `rest`.
fn part(language: &Language, rest: &str, next: char, before: char) -> (Option<&'static str>, usize) {
    let is_after_space = before.is_whitespace() || "([{,;=".contains(before);
    if !language.comment.is_empty() && rest.starts_with(language.comment) && before.is_whitespace() {
        return (Some("c"), rest.find('\n').unwrap_or(rest.len()));
    }
    if language.quotes.contains(&next)
        && let Some(length) = string(language, rest, next)
    {
        let is_name = rest.get(length..).is_some_and(|after| after.starts_with(':')) && next == '"';
        return (Some(if is_name { "f" } else { "s" }), length);
    }
    if next.is_alphanumeric() || next == '_' {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..length];
        let class = if next.is_ascii_digit() {
            is_after_space.then_some("n")
        } else if language.keywords.contains(&word) && before != '-' && before != '/' && before != '.' {
            Some("k")
        } else {
            None
        };
        return (class, length);
    }
    (None, next.len_utf8())
}

/// Returns the length of the string that begins here, unless it does not end.
fn string(language: &Language, rest: &str, quote: char) -> Option<usize> {
    let long: String = [quote; 3].iter().collect();
    if rest.starts_with(&long) && !language.quotes_of_lines.contains(&quote) {
        return rest.get(3..)?.find(&long).map(|end| end + 6);
    }
    let may_span_lines = language.quotes_of_lines.contains(&quote);
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == '\n' && !may_span_lines {
            return None;
        }
        if c == quote && !is_escaped {
            return Some(at + c.len_utf8());
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::coloured;

    #[test]
    fn parts_are_marked_and_everything_is_escaped() {
        let json = coloured("json", "{\"a\": 1, \"b\": \"<x>\", \"c\": true}");
        let shown = "{<span class=\"f\">\"a\"</span>: <span class=\"n\">1</span>, <span class=\"f\">\"b\"</span>: \
                     <span class=\"s\">\"&lt;x&gt;\"</span>, <span class=\"f\">\"c\"</span>: <span class=\"k\">true</span>}";
        assert_eq!(json, shown);
        let shell = coloured("sh", "if curl http://127.0.0.1:8080/in # here's it\n");
        let shown = "<span class=\"k\">if</span> curl http://127.0.0.1:8080/in <span class=\"c\"># here's it</span>\n";
        assert_eq!(shell, shown);
    }

    #[test]
    fn code_without_its_colours_is_unchanged() {
        for (name, code) in [
            ("python", include_str!("../../docs/examples/client.py")),
            ("js", include_str!("../../docs/examples/client.mjs")),
            ("rust", include_str!("../../docs/examples/client.rs")),
            ("sh", include_str!("../../docs/examples/client.sh")),
            ("sh", "unclosed ' and \""),
            ("text", "<é&>"),
        ] {
            let mut html = coloured(name, code).replace("</span>", "");
            for class in ["k", "s", "c", "n", "f"] {
                html = html.replace(&format!("<span class=\"{class}\">"), "");
            }
            assert_eq!(html.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), code, "{name}");
        }
    }
}
