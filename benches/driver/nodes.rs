//! The processes of the cluster, and the actions on them.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use doorward_test::wire::Connection;

/// The time before a killed node is started again.
const AWAY: Duration = Duration::from_secs(1);

/// The parameters that the script passes in the environment. Other DOORWARD_ variables are the nodes'
/// settings.
pub struct Setup {
    pub binary: String,
    pub folder: PathBuf,
    pub addresses: Vec<String>,
    pub metrics: Vec<String>,
    pub balancer: String,
    /// The URL of PostgreSQL itself, not of a pooler.
    pub postgres: String,
    pub restart: String,
}

impl Setup {
    pub fn read() -> Self {
        let value = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let list = |name: &str| value(name).split_whitespace().map(str::to_owned).collect();
        Self {
            binary: value("CLUSTER_BINARY"),
            folder: value("CLUSTER_FOLDER").into(),
            addresses: list("CLUSTER_NODES"),
            metrics: list("CLUSTER_METRICS"),
            balancer: value("CLUSTER_BALANCER"),
            postgres: value("DOORWARD_TEST_DATABASE_URL"),
            restart: value("TEST_POSTGRES_RESTART"),
        }
    }
}

/// The nodes. A file contains each process's id, so that the script can end it if the driver cannot.
#[derive(Clone)]
pub struct Nodes {
    pub setup: Arc<Setup>,
    running: Arc<Mutex<Vec<Option<Child>>>>,
}

impl Nodes {
    pub fn start(setup: Setup) -> Self {
        let nodes = Self { running: Arc::new(Mutex::new(Vec::new())), setup: Arc::new(setup) };
        for at in 0..nodes.setup.addresses.len() {
            let child = nodes.spawn(at);
            nodes.running.lock().unwrap().push(Some(child));
        }
        nodes
    }

    fn spawn(&self, at: usize) -> Child {
        let setup = &self.setup;
        let log = setup.folder.join(format!("node-{at}.log"));
        let log = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let child = Command::new(&setup.binary)
            .arg("serve")
            .env("DOORWARD_LISTEN", &setup.addresses[at])
            .env("DOORWARD_METRICS_LISTEN", &setup.metrics[at])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a node");
        fs::write(setup.folder.join(format!("node-{at}.pid")), child.id().to_string()).expect("a file");
        child
    }

    /// Kills a node with SIGKILL and starts it again after a while. Returns the time of the start.
    pub fn kill_for_a_while(&self, at: usize) -> Instant {
        let killed = self.running.lock().unwrap()[at].take();
        let mut child = killed.expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("it was ours");
        std::thread::sleep(AWAY);
        let child = self.spawn(at);
        self.running.lock().unwrap()[at] = Some(child);
        Instant::now()
    }

    pub fn stop(&self) {
        for child in self.running.lock().unwrap().iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until the node is ready and its feed is not silent. Returns the state of its feed.
    pub async fn until_ready(&self, address: &str) -> String {
        let started = Instant::now();
        loop {
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.ask("GET", "/readyz", "", "").await
                && answer.status == 200
                && answer.json()["feed"] != "silent"
            {
                return answer.json()["feed"].as_str().unwrap_or_default().to_owned();
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{address} is not ready in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Ends the connections of the nodes' feeds. Returns their number.
pub fn kill_feeds(url: &str) -> i64 {
    let mut connection = PgConnection::establish(url).expect("PostgreSQL");
    let killed: Count = sql_query(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS count
         FROM pg_stat_activity WHERE application_name = 'doorward-feed'",
    )
    .get_result(&mut connection)
    .expect("an answer");
    killed.count
}

/// Restarts PostgreSQL without a shutdown, as after a crash. Returns the time at which it answers again.
pub fn restart_postgres(setup: &Setup) -> Instant {
    let way = Command::new(&setup.restart).arg("immediate").status().expect("the restart");
    assert!(way.success(), "PostgreSQL did not restart");
    loop {
        if let Ok(mut connection) = PgConnection::establish(&setup.postgres)
            && sql_query("SELECT").execute(&mut connection).is_ok()
        {
            return Instant::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
