//! The list of accounts, and creating one.

use doorward_test::{Browser, PASSWORD, World};

use crate::pages::html;

#[actix_web::test]
async fn users_are_searched_by_part_of_the_name_and_paginated() {
    let world = World::new().await;
    world.user("root", "admin");
    for number in 0..60 {
        world.user(&format!("person-{number}"), "viewer");
    }
    let mut browser = Browser::signed_in(&world, "root").await;
    let first = browser.get("/admin/users?q=PERSON-&role=&status=").await;
    assert_eq!(html(&first).matches("class=\"hint\">viewer").count(), 50);
    let next = html(&first).split("href=\"?").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let next = next.replace("&#38;", "&").replace("&amp;", "&");
    let second = browser.get(&format!("/admin/users?{next}")).await;
    assert_eq!(html(&second).matches("class=\"hint\">viewer").count(), 10, "{}", html(&second));
    let none = browser.get("/admin/users?q=nobody&role=&status=").await;
    assert!(html(&none).contains("No user is like that"));
    assert_eq!(browser.get("/admin/users?status=odd").await.status, 422);
}

#[actix_web::test]
async fn account_is_created_with_a_link_or_a_password() {
    let world = World::new().await;
    world.user("root", "admin");
    let mut browser = Browser::signed_in(&world, "root").await;
    let new = "/admin/users/new";
    let wrong =
        [("username", "ROOT"), ("email", "no"), ("role", "viewer"), ("by", "password"), ("password", "x")];
    let answer = browser.fill_in(new, new, &wrong).await;
    assert!(answer.status == 422 && html(&answer).contains("value=\"ROOT\""), "{}", html(&answer));
    let taken = [("username", "ROOT"), ("email", ""), ("role", "viewer"), ("by", "link")];
    let answer = browser.fill_in(new, new, &taken).await;
    assert!(answer.status == 422 && html(&answer).contains("already in use"));
    let by_link = [("username", "carol"), ("email", "carol@example.com"), ("role", "viewer"), ("by", "link")];
    let answer = browser.fill_in(new, new, &by_link).await;
    assert_eq!(answer.status, 201);
    let link =
        html(&answer).split("http://doorward.test").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut carol = Browser::new(&world);
    let typed = [("new_password", "a phrase of carol"), ("again", "a phrase of carol")];
    assert_eq!(carol.post(link, &typed).await.status, 200);
    assert_eq!(carol.sign_in("carol@example.com", "a phrase of carol", &[]).await.status, 303);
    let by_password =
        [("username", "dave"), ("email", ""), ("role", "member"), ("by", "password"), ("password", PASSWORD)];
    let answer = browser.fill_in(new, new, &by_password).await;
    assert!(answer.header("location").unwrap().ends_with("?done=made"));
    Browser::signed_in(&world, "dave").await;
}

#[actix_web::test]
async fn password_link_page_shows_its_expiry_and_consequences() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}");
    assert!(html(&admin.get(&page).await).contains("Either way the old password is gone"));
    let shown = admin.fill_in(&page, &format!("{page}/password-link"), &[]).await;
    let text = html(&shown).split("<p>It expires <time").nth(1).unwrap_or_else(|| panic!("{}", html(&shown)));
    let text = text.split("</p>").next().unwrap();
    assert!(
        text.ends_with(
            ">in 24 hours</time>. Until it is used the account has no password, and is signed in nowhere."
        ),
        "{text}"
    );
    assert_eq!(Browser::new(&world).sign_in("alice", PASSWORD, &[]).await.status, 401);
    // A disabled account's link sets its password, but does not sign the user in.
    admin.fill_in(&page, &format!("{page}/disable"), &[]).await;
    let path =
        html(&shown).split("value=\"http://doorward.test").nth(1).and_then(|rest| rest.split('"').next());
    let fields = [("new_password", "a phrase of my own"), ("again", "a phrase of my own")];
    let set = Browser::new(&world).post(path.unwrap(), &fields).await;
    assert_eq!(set.status, 200);
    for said in ["The password is set", "The account is disabled", "An administrator can enable it"] {
        assert!(html(&set).contains(said), "{said}: {}", html(&set));
    }
    assert!(!html(&set).contains("You can sign in"), "{}", html(&set));
    let refused = Browser::new(&world).sign_in("alice", "a phrase of my own", &[]).await;
    assert!(html(&refused).contains("disabled"), "{}", html(&refused));
}
