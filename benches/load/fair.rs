//! Measures others beside callers who take too much: sign-ins beside a flood of correct passwords, and reads
//! beside searches.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Connection, request};
use crate::measure::Task;
use crate::{Target, paced, text};

/// The number of the flood's connections.
const FLOOD: usize = 60;
/// The number of the flood's accounts.
const ACCOUNTS: usize = 10;
/// The number of other users who sign in.
const OTHERS: usize = 20;
/// The number of concurrent searches.
const SEARCHES: usize = 16;

/// The number of responses with each status.
type Answers = Rc<RefCell<BTreeMap<u16, u32>>>;

fn sign_in(name: &str, password: &str, address: &str) -> Vec<u8> {
    let body = json!({ "username": name, "password": password }).to_string();
    format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn make_accounts(target: &Target, kind: &str, count: usize) {
    let token = target.access_token().await;
    let mut connection = Connection::open(&target.address).await;
    for number in 0..count {
        let new = json!({ "username": format!("{kind}{number}"), "password": target.password });
        connection.ask_json("POST", "/api/v1/users", &token, &new).await;
    }
}

/// Prints a line for the others alone and one for them beside the flood: the median and the 95th percentile
/// in milliseconds, and the responses. Then prints the flood's responses.
pub async fn sign_ins(target: &Target) {
    make_accounts(target, "flood", ACCOUNTS).await;
    make_accounts(target, "other", OTHERS).await;
    println!("{}", others(target).await);
    let answers = Answers::default();
    let until = Instant::now() + target.time + Duration::from_secs(2);
    let flood: Vec<_> =
        (0..FLOOD).map(|number| actix_web::rt::spawn(flooding(target, number, until, &answers))).collect();
    // The flood has filled the queue by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("{}", others(target).await);
    for task in flood {
        task.await.expect("a task");
    }
    println!("{:?}", answers.borrow());
}

fn flooding(target: &Target, number: usize, until: Instant, answers: &Answers) -> Task {
    let (address, answers) = (target.address.clone(), answers.clone());
    let request = sign_in(&format!("flood{}", number % ACCOUNTS), &target.password, "198.51.100.1");
    Box::pin(async move {
        let mut connection = Connection::open(&address).await;
        while Instant::now() < until {
            let (status, _) = connection.send(&request).await;
            *answers.borrow_mut().entry(status).or_default() += 1;
        }
    })
}

/// Signs in once a second in total, each time with another account from another address.
async fn others(target: &Target) -> String {
    let (answers, times) = (Answers::default(), Rc::new(RefCell::new(Vec::new())));
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut running = Vec::new();
    for number in 0..target.time.as_secs() as usize {
        pace.tick().await;
        let (address, answers, times) = (target.address.clone(), answers.clone(), times.clone());
        let at = number % OTHERS;
        let request = sign_in(&format!("other{at}"), &target.password, &format!("203.0.113.{at}"));
        running.push(actix_web::rt::spawn(async move {
            let started = Instant::now();
            let (status, _) = Connection::open(&address).await.send(&request).await;
            times.borrow_mut().push(started.elapsed());
            *answers.borrow_mut().entry(status).or_default() += 1;
        }));
    }
    for task in running {
        task.await.expect("a task");
    }
    times.borrow_mut().sort_unstable();
    let times = times.borrow();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("{:.1} {:.1} {:?}", at(0.5), at(0.95), answers.borrow())
}

/// Prints the figures of 500 guarded reads a second, alone and beside another user's searches. Then prints
/// the responses to the searches. `searcher` is an account with many notes.
pub async fn searches(target: &Target) {
    let token = target.access_token().await;
    println!("{}", paced(target, &token, Vec::new()).await);
    let login = sign_in("searcher", &target.password, "198.51.100.1");
    let (status, answer) = Connection::open(&target.address).await.send(&login).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let searcher = text(&serde_json::from_slice(&answer).expect("JSON"), "access_token");
    let answers = Answers::default();
    let until = Instant::now() + target.time;
    let searching = (0..SEARCHES).map(|_| -> Task {
        let (address, answers) = (target.address.clone(), answers.clone());
        let request = request("GET", "/api/v1/notes?q=zzz", &searcher, "");
        Box::pin(async move {
            let mut connection = Connection::open(&address).await;
            while Instant::now() < until {
                let (status, _) = connection.send(&request).await;
                *answers.borrow_mut().entry(status).or_default() += 1;
            }
        })
    });
    println!("{}", paced(target, &token, searching.collect()).await);
    println!("{:?}", answers.borrow());
}
