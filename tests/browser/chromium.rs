//! A Chromium for each test, driven through WebDriver. It ends with the test, even if that fails.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorward_test::{PASSWORD, World};
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};

/// The longest time to wait for a page.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// The conditions under which a page is shown.
#[derive(Clone, Copy, Default)]
pub struct Look {
    pub without_script: bool,
    pub dark: bool,
    pub narrow: bool,
    /// The narrowest screen without a sideways scroll (WCAG 2.2, success criterion 1.4.10).
    pub narrowest: bool,
    /// A window of 1280 pixels, enlarged twice.
    pub zoomed: bool,
    /// The few colours of a user's own.
    pub forced_colours: bool,
    /// On paper of the size A4.
    pub printed: bool,
}

impl Look {
    /// Returns the width of the page in CSS pixels, and the device's pixels for each of them.
    fn size(self) -> (u32, f64) {
        match self {
            Self { narrowest: true, .. } => (320, 2.0),
            Self { narrow: true, .. } => (390, 2.0),
            Self { zoomed: true, .. } => (640, 2.0),
            Self { printed: true, .. } => (794, 1.0),
            _ => (1_280, 1.0),
        }
    }
}

/// The longest page of a picture, in CSS pixels.
const PICTURE_HEIGHT_MAX: f64 = 6_000.0;

/// A command of the Chrome DevTools Protocol.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (Method::POST, Some(body.to_string()))
    }
}

/// A browser window.
pub struct Chromium {
    pub client: Client,
    base: String,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub async fn open(world: &World) -> Self {
        Self::open_as(world, Look::default()).await
    }

    pub async fn open_as(world: &World, look: Look) -> Self {
        // Chromium and its driver are in a process group of their own, which is killed when this process ends
        // in any way.
        let mut driver = Command::new("sh")
            .args(["-c", "chromedriver --port=0 </dev/null & exec >/dev/null; cat; kill -s KILL -- -$$"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a shell");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.unwrap();
                line.split_once("successfully on port ")
                    .map(|(_, port)| port.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says its port: make test installs it");
        // Its later output is of no interest, but a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path(), look))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a Chromium");
        let browser = Self { client, base: world.base.clone(), driver, _profile: profile };
        browser.show_as(look).await;
        browser
    }

    /// Sets the conditions of all further pages.
    pub async fn show_as(&self, look: Look) {
        let (width, scale) = look.size();
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": scale, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
        let on = |value: bool, name: &str| if value { name.to_owned() } else { String::new() };
        let features = json!([
            { "name": "prefers-color-scheme", "value": if look.dark { "dark" } else { "light" } },
            { "name": "forced-colors", "value": on(look.forced_colours, "active") },
        ]);
        let media = json!({ "media": on(look.printed, "print"), "features": features });
        self.tell("Emulation.setEmulatedMedia", media).await;
    }

    async fn tell(&self, command: &'static str, parameters: Value) -> Value {
        self.client
            .issue_cmd(DevTools { command, parameters })
            .await
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Takes a picture of an element, also of its parts outside the window. `html` is the whole page.
    pub async fn picture_of(&self, selector: &str) -> Vec<u8> {
        let script = format!(
            "scrollTo(0, 0); const box = document.querySelector('{selector}').getBoundingClientRect();
             return [box.x, box.y, box.width, box.height]"
        );
        let found = self.run(&script).await;
        let [x, y, width, height] = [0, 1, 2, 3].map(|index| found[index].as_f64().unwrap());
        let height = height.min(PICTURE_HEIGHT_MAX);
        let clip = json!({ "x": x, "y": y, "width": width, "height": height, "scale": 1 });
        let taken =
            self.tell("Page.captureScreenshot", json!({ "clip": clip, "captureBeyondViewport": true })).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    pub async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Returns the path and query of the current page.
    pub async fn at(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.base).unwrap_or(url.as_str()).to_owned()
    }

    /// Waits for an element, because the previous page is still shown for a moment.
    pub async fn find(&self, what: Locator<'_>) -> Element {
        self.client.wait().at_most(PATIENCE).for_element(what).await.unwrap_or_else(|_| panic!("no {what:?}"))
    }

    pub async fn fill(&self, name: &str, text: &str) {
        let field = self.find(Locator::Css(&format!("[name=\"{name}\"]"))).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Ticks the checkbox with this value.
    pub async fn tick(&self, value: &str) {
        self.find(Locator::Css(&format!("input[type=checkbox][value=\"{value}\"]")))
            .await
            .click()
            .await
            .unwrap();
    }

    /// Clicks the button or link with this text or label.
    pub async fn press(&self, text: &str) {
        let path = format!(
            "//main//*[self::button or self::a][normalize-space()={text:?} or @aria-label={text:?}] | \
             //header//*[self::button or self::a][normalize-space()={text:?}]"
        );
        let started = std::time::Instant::now();
        loop {
            match self.find(Locator::XPath(&path)).await.click().await {
                Ok(()) => return,
                // The element belonged to the previous page, so look for it on the new one.
                Err(error) if error.is_stale_element_reference() && started.elapsed() < PATIENCE => {}
                Err(error) => panic!("{text:?}: {error}"),
            }
        }
    }

    /// Returns the text of the page, or nothing while another one is loading.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the page contains this text.
    #[track_caller]
    pub fn shows(&self, needle: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let started = std::time::Instant::now();
            loop {
                let text = self.text().await;
                if text.contains(needle) {
                    return;
                }
                assert!(started.elapsed() < PATIENCE, "{caller}: no {needle:?} in {text}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }

    pub async fn sign_in(&self, username: &str) {
        self.go("/login").await;
        self.fill("username", username).await;
        self.fill("password", PASSWORD).await;
        self.press("Sign in").await;
        self.shows("What you may do").await;
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.driver.id().cast_signed()), Signal::SIGKILL);
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &Path, look: Look) -> Capabilities {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-quic".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--hide-scrollbars".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        "--window-size=1280,900".to_owned(),
    ];
    if look.dark {
        arguments.push("--force-dark-mode".to_owned());
        arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let mut options = json!({ "args": arguments });
    if look.without_script {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    // The pages' own errors.
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
    capabilities
}
