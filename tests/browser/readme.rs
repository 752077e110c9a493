//! The README's picture: a refusal beside its explanation, on the page that a user sees.

use std::path::Path;

use doorward_test::Answer;

use crate::chromium::Chromium;

/// Puts the refusal's body beside the explanation. Of the page it keeps the verdict, the checks and the
/// timeline.
const COMPOSE: &str = "
    const main = document.querySelector('main');
    const kept = ['verdict', 'failed', 'passed', 'timeline'];
    for (const part of [...main.children]) {
        if (!kept.includes(part.id)) part.remove();
    }
    for (const unsaid of main.querySelectorAll('.copy')) unsaid.remove();
    const refusal = document.createElement('pre');
    refusal.textContent = REFUSAL;
    const picture = document.createElement('div');
    picture.id = 'picture';
    document.body.replaceChildren(picture);
    picture.append(refusal, main);
    Object.assign(picture.style, { alignItems: 'start', background: 'var(--paper)', display: 'grid', gap: '1.75rem',
        gridTemplateColumns: '31rem 36rem', padding: '1.5rem', width: '71.75rem' });
    Object.assign(refusal.style, { fontSize: '0.8rem', margin: '0', overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' });
    Object.assign(main.style, { margin: '0', maxWidth: 'none', padding: '0' });
    for (const heading of main.querySelectorAll('#timeline h2')) heading.style.marginTop = '1rem';
";

/// Takes the picture of a refused request of the user who is signed in, and leaves the browser on that page.
pub async fn take(page: &Chromium, refused: &Answer, file: &Path) {
    page.go(&format!("/account/refusals/{}", refused.text("request_id"))).await;
    let body = serde_json::to_string_pretty(&refused.body).unwrap();
    let shown = format!(
        "$ curl https://id.example.org/api/v1/notes \\\n    -H \"Authorization: Bearer $ACCESS\"\n\n{}",
        body.replace(doorward_test::PUBLIC_URL, "https://id.example.org")
    );
    page.run(&COMPOSE.replace("REFUSAL", &serde_json::to_string(&shown).unwrap())).await;
    let picture = page.picture_of("#picture").await;
    std::fs::write(file, picture).unwrap();
}
