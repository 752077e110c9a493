//! An HTTP client that acts like a browser: it keeps cookies, says where its requests come from, and sends
//! forms.

use std::collections::BTreeMap;

use reqwest::Method;

use crate::{Answer, Ask, PASSWORD, World};

/// A browser with its cookies, and the server that it uses.
pub struct Browser<'a> {
    world: &'a World,
    pub cookies: BTreeMap<String, String>,
    /// The value of `Sec-Fetch-Site` in its unsafe requests.
    pub site: &'static str,
    /// The client address that a proxy reports.
    pub address: Option<&'static str>,
}

impl<'a> Browser<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, cookies: BTreeMap::new(), site: "same-origin", address: None }
    }

    /// Creates a browser with these cookies.
    pub fn with(world: &'a World, cookies: BTreeMap<String, String>) -> Self {
        Self { cookies, ..Self::new(world) }
    }

    /// Creates a browser and signs in with the common password.
    pub async fn signed_in(world: &'a World, username: &str) -> Self {
        let mut browser = Self::new(world);
        let answer = browser.sign_in(username, PASSWORD, &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        browser
    }

    pub async fn sign_in(&mut self, username: &str, password: &str, more: &[(&str, &str)]) -> Answer {
        self.get("/login").await;
        let mut fields = vec![("username", username), ("password", password)];
        fields.extend_from_slice(more);
        self.fill_in("/login", "/login", &fields).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Loads a page and sends its form with these fields in addition to the hidden ones.
    pub async fn fill_in(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let hidden = self.hidden_fields(page, action).await;
        self.send_form(action, &hidden, fields).await
    }

    /// Sends a form that was loaded earlier.
    pub async fn send_form(
        &mut self,
        action: &str,
        hidden: &[(String, String)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let hidden = hidden.filter(|(name, _)| !fields.iter().any(|(given, _)| given == name));
        let sent: Vec<(&str, &str)> = hidden.chain(fields.iter().copied()).collect();
        self.post(action, &sent).await
    }

    /// Loads a page and returns the hidden fields of its form with this action, or of its first form if there
    /// is none.
    pub async fn hidden_fields(&mut self, page: &str, action: &str) -> Vec<(String, String)> {
        let html = self.get(page).await;
        let html = html.body.as_str().unwrap_or_default().to_owned();
        let start = html.find(&format!("action=\"{action}\"")).or_else(|| html.find("name=\"csrf_token\""));
        let start = start.unwrap_or_else(|| panic!("no form on {page}: {html}"));
        // The first form is found by a field's name, so its own tag is skipped.
        let start = html[..start].rfind('<').unwrap_or(start);
        let form = html[start..].split("</form>").next().unwrap_or_default();
        form.split("<input type=\"hidden\"").skip(1).map(name_and_value).collect()
    }

    /// Returns the CSRF token of a page's first form.
    pub async fn form_token(&mut self, page: &str) -> String {
        let html = self.get(page).await;
        let html = html.body.as_str().unwrap_or_default().to_owned();
        let rest = html.split_once("name=\"csrf_token\" value=\"").map(|(_, rest)| rest);
        let rest = rest.unwrap_or_else(|| panic!("no form on {page}: {html}"));
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// Sends a form with exactly these fields.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.send(Method::POST, path, Some(body.finish())).await
    }

    async fn send(&mut self, method: Method, path: &str, form: Option<String>) -> Answer {
        let mut ask = self
            .world
            .ask(method, path)
            .header("accept", "text/html,*/*")
            .header("sec-fetch-mode", "navigate");
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            ask = ask.header("cookie", pairs.join("; "));
        }
        if let Some(address) = self.address {
            ask = ask.header("x-forwarded-for", address);
        }
        if let Some(form) = form {
            ask = ask
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", self.site)
                .body(form);
        }
        let answer = ask.send().await;
        self.keep(&answer);
        answer
    }

    /// Stores the cookies of a response.
    pub fn keep(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all("set-cookie") {
            let text = cookie.to_str().expect("a cookie");
            let (name, value) = text.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Creates an API request with the browser's cookies.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.world.ask(method, path).header("cookie", pairs.join("; "))
    }
}

/// Parses the rest of a hidden field's tag.
fn name_and_value(tag: &str) -> (String, String) {
    let attribute = |name: &str| {
        let rest = tag.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
        let value = rest.and_then(|rest| rest.split('"').next()).unwrap_or_default();
        value.replace("&#34;", "\"").replace("&#39;", "'").replace("&#60;", "<").replace("&#38;", "&")
    };
    (attribute("name"), attribute("value"))
}
