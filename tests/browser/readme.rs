//! The README's picture: a refusal beside its explanation, on the page that a user sees.

use std::path::Path;

use doorward_test::Answer;

use crate::chromium::Chromium;

/// Puts the refusal's body beside the explanation. Of the page it keeps the reason, the checks and the
/// history, close together.
const COMPOSE: &str = "
    const main = document.querySelector('main');
    main.querySelector('p').remove();
    const removeSection = (first) => {
        for (let next; first; first = next) {
            next = first.nextElementSibling?.matches('h2') ? null : first.nextElementSibling;
            first.remove();
        }
    };
    const sections = [...main.querySelectorAll('h2')];
    removeSection(sections.at(-1));
    removeSection(sections[0]);
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
    for (const heading of main.querySelectorAll('h1, h2, p')) heading.style.margin = '0 0 0.5rem';
    for (const heading of main.querySelectorAll('h2')) heading.style.marginTop = '1rem';
    for (const cell of main.querySelectorAll('td, th')) {
        Object.assign(cell.style, { fontSize: '0.875rem', paddingBottom: '0.1rem', paddingTop: '0.1rem' });
        if (cell.cellIndex < 2) cell.style.whiteSpace = 'nowrap';
    }
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
