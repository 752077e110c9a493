//! Runs all clients on a thread, and checks afterwards that the promises to them were kept.

use std::thread::JoinHandle;

use doorward_test::PASSWORD;
use serde_json::json;

use crate::client::{
    Ask, Caller, LastKnown, Tokens, ask_what_needs_no_database, end_things, is_over, keep_a_diary,
    refresh_together, text,
};
use crate::ledger::{Broken, EndedCredential, Ledger, LiveSession, Promise};
use crate::postgres::Postgres;

/// The number of clients of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub diaries: usize,
    pub pairs: usize,
    pub enders: usize,
    /// True if a client constantly requests what needs no database.
    pub without_database: bool,
}

impl Default for Mix {
    fn default() -> Self {
        Self { diaries: 2, pairs: 1, enders: 2, without_database: true }
    }
}

/// A running load.
pub struct Load {
    ledger: Ledger,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Creates an account for each client, and starts the clients on the nodes at these addresses.
    pub fn start(ledger: &Ledger, addresses: &[String], mix: Mix) -> Self {
        let names: Vec<String> =
            (0..mix.diaries + mix.pairs + mix.enders + 1).map(|at| format!("person{at}")).collect();
        on_a_runtime(make_accounts(ledger.clone(), addresses.to_vec(), names.clone())).expect("accounts");
        let callers: Vec<Caller> = names.iter().map(|name| Caller::new(name, ledger, addresses)).collect();
        let seconds: Vec<Caller> =
            names[..mix.pairs].iter().map(|name| Caller::new(name, ledger, addresses)).collect();
        let run = move || {
            on_a_runtime(async move {
                let clients = run_all(callers, seconds, mix);
                for client in clients {
                    // The ledger has the broken promises.
                    let _ = client.await.expect("a client does not panic");
                }
            });
        };
        Self { ledger: ledger.clone(), thread: Some(std::thread::spawn(run)) }
    }

    /// Stops the load, and lets every client finish what it has started.
    pub fn stop(mut self) {
        self.ledger.stop();
        self.thread.take().expect("it runs").join().expect("the load");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ledger.stop();
    }
}

type Client = actix_web::rt::task::JoinHandle<Result<(), Broken>>;

fn run_all(callers: Vec<Caller>, seconds: Vec<Caller>, mix: Mix) -> Vec<Client> {
    let mut callers = callers.into_iter();
    let mut clients = Vec::new();
    for second in seconds {
        let first = callers.next().expect("one for each");
        clients.push(actix_web::rt::spawn(refresh_together(first, second)));
    }
    clients
        .extend(callers.by_ref().take(mix.diaries).map(|caller| actix_web::rt::spawn(keep_a_diary(caller))));
    clients.extend(callers.by_ref().take(mix.enders).map(|caller| actix_web::rt::spawn(end_things(caller))));
    let last = callers.next().expect("one for each");
    if mix.without_database {
        clients.push(actix_web::rt::spawn(ask_what_needs_no_database(last.uncounted())));
    } else {
        last.leave();
    }
    clients
}

pub fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}

async fn make_accounts(ledger: Ledger, addresses: Vec<String>, names: Vec<String>) -> Result<(), Broken> {
    let mut admin = Caller::new("admin", &ledger, &addresses).uncounted();
    let tokens = admin.login().await?;
    for name in names {
        let account = json!({ "username": name, "password": PASSWORD, "role": "member" });
        admin.until_done(Ask::post("/api/v1/users", &tokens.access, &account)).await?;
    }
    admin.leave();
    Ok(())
}

/// Checks everything that must or must not exist according to the ledger.
pub fn look_it_all_up(ledger: &Ledger, addresses: &[String], postgres: &Postgres) {
    let there = postgres.pairs("SELECT title AS one, body AS other FROM notes");
    let broken = ledger.books().missing_and_uninvited(&there);
    for (promise, how) in broken {
        ledger.broke(promise, how);
    }
    // The ledger has the broken promises.
    let _ = on_a_runtime(ask_for_all(ledger.clone(), addresses.to_vec()));
}

async fn ask_for_all(ledger: Ledger, addresses: Vec<String>) -> Result<(), Broken> {
    let (kept, revoked) = {
        let books = ledger.books();
        (books.kept.clone(), books.revoked.clone())
    };
    let mut callers: Vec<Caller> = addresses
        .iter()
        .map(|address| Caller::new("the last look", &ledger, std::slice::from_ref(address)).uncounted())
        .collect();
    for kept in kept {
        let _ = has_one_successor(&ledger, &mut callers, &kept).await;
    }
    for caller in &mut callers {
        for revoked in &revoked {
            is_refused(&ledger, caller, revoked).await?;
        }
        caller.leave();
    }
    Ok(())
}

/// Checks that the session can still be refreshed on every node, and that each returns the same live token.
async fn has_one_successor(
    ledger: &Ledger,
    callers: &mut [Caller],
    kept: &LiveSession,
) -> Result<(), Broken> {
    let mut live: Option<Tokens> = None;
    for caller in callers.iter_mut() {
        let tokens = caller.refresh(&kept.refresh).await?;
        if live.as_ref().is_some_and(|live| live.refresh != tokens.refresh) {
            return Err(ledger.broke(Promise::TwoSuccessors, format!("of {}", kept.whose)));
        }
        live = Some(tokens);
    }
    let live = live.expect("a node");
    for caller in callers {
        let (_, me) = caller.until_done(Ask::get("/api/v1/me", &live.access)).await?;
        if text(&me.json(), "username") != kept.whose {
            return Err(ledger.broke(Promise::Wrong, format!("{} is somebody else", kept.whose)));
        }
    }
    Ok(())
}

async fn is_refused(ledger: &Ledger, caller: &mut Caller, revoked: &EndedCredential) -> Result<(), Broken> {
    let body = json!({ "refresh_token": revoked.refresh });
    let asks = [
        Some(Ask::get("/api/v1/me", &revoked.token)),
        revoked.refresh.as_ref().map(|_| Ask::post("/api/v1/auth/refresh", "", &body)),
    ];
    for ask in asks.into_iter().flatten() {
        match caller.until_known(ask).await?.0 {
            LastKnown::Refused(401, refused) if is_over(&refused) => {}
            LastKnown::Refused(status, refused) => drop(caller.was_refused(ask, status, &refused)),
            LastKnown::Done(..) => {
                ledger.broke(Promise::Accepted, format!("{} {}: {}", ask.method, ask.path, revoked.what));
            }
        }
    }
    Ok(())
}
