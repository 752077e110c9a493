//! Runs the guide's browser client on a page of another origin, as an integrator would.

use doorward::config::WebOrigin;
use doorward_test::{PASSWORD, World};
use tokio::net::TcpListener;

use crate::chromium::Chromium;
use crate::other_origin::serve;

const CLIENT: &str = include_str!("../../docs/examples/client.mjs");

#[actix_web::test]
async fn guide_client_works_on_a_page_of_another_origin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let world = World::with(|settings| settings.cors_origins = vec![WebOrigin::read(&origin).unwrap()]).await;
    world.user("alice", "member");
    let page = format!(
        "<!doctype html><body></body><script type=\"module\">{CLIENT}
        globalThis.client = new Doorward({:?});
        globalThis.show = async (doing) => {{
            try {{ document.body.textContent = JSON.stringify(await doing()); }}
            catch (error) {{ document.body.textContent = error; }}
        }};
        document.body.textContent = 'ready';
        </script>",
        world.base
    );
    actix_web::rt::spawn(serve(listener, page));
    let browser = Chromium::open(&world).await;
    browser.client.goto(&origin).await.unwrap();
    browser.shows("ready").await;
    let sign_in =
        format!("show(async () => {{ await client.signIn('alice', {PASSWORD:?}); return 'signed in'; }})");
    browser.run(&sign_in).await;
    browser.shows("signed in").await;
    world.advance(chrono::TimeDelta::minutes(6));
    browser
        .run("show(async () => (await Promise.all(Array.from({ length: 8 }, () => client.call('GET', '/api/v1/me')))).map((it) => it.body.username).join())")
        .await;
    browser.shows(&["alice"; 8].join(",")).await;
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 2);
    assert_eq!(world.events("refresh_repeated"), 0);
    // The page may read this across origins.
    browser.run("show(async () => (await client.call('GET', '/api/v1/users')).body)").await;
    browser.shows("(permission_denied, request ").await;
}
