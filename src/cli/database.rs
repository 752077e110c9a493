//! The database of a command: that of `DATABASE_URL`, a running server's private one, or a private one of its own.

use std::time::Duration;

use super::failure::Failure;
use crate::config::{Settings, executable, search_path};
use crate::database::private_postgres::{Binaries, Options, PrivatePostgres, find_binaries};
use crate::database::{Connection, Database, hopeless, migrate};

/// How long a private PostgreSQL may take to stop in good order.
pub const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Connections beside the server's own: commands, backups, people.
const SPARE_CONNECTIONS: u32 = 20;

/// Where the database is, and what keeps it there.
pub struct DatabaseAccess {
    url: String,
    /// Stopped with this, when this process started it.
    postgres: Option<PrivatePostgres>,
    /// Whether another process runs the private PostgreSQL.
    pub beside_server: bool,
}

impl DatabaseAccess {
    /// Finds the database for a command, which makes no folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be started.
    pub fn find(settings: &Settings) -> Result<Self, Failure> {
        Self::get(settings, PrivatePostgres::open)
    }

    /// Finds the database, and makes the data folder where it is missing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn make(settings: &Settings) -> Result<Self, Failure> {
        Self::get(settings, PrivatePostgres::start)
    }

    /// Does a command's work on a connection.
    ///
    /// # Errors
    /// When there is no database, or the work's own.
    pub fn use_for<T>(
        settings: &Settings,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let access = Self::find(settings)?;
        let done = access.connect().and_then(|mut connection| work(&mut connection));
        access.stop();
        done
    }

    fn get(
        settings: &Settings,
        begin: impl Fn(&Options) -> Result<PrivatePostgres, crate::database::private_postgres::Error>,
    ) -> Result<Self, Failure> {
        let failed = |error: crate::database::private_postgres::Error| Failure::new(error.to_string());
        if let Some(url) = &settings.database_url {
            return Ok(Self { url: url.expose().to_owned(), postgres: None, beside_server: false });
        }
        if let Some(url) = PrivatePostgres::running(&settings.data_dir).map_err(failed)? {
            return Ok(Self { url: url.expose().to_owned(), postgres: None, beside_server: true });
        }
        let postgres = begin(&options(settings)?).map_err(failed)?;
        let url = postgres.url().expose().to_owned();
        Ok(Self { url, postgres: Some(postgres), beside_server: false })
    }

    /// For libpq.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to a database that this version's server has been started on.
    ///
    /// # Errors
    /// When it cannot be reached, or was not migrated.
    pub fn connect(&self) -> Result<Connection, Failure> {
        let mut connection = self.connect_to_any()?;
        let pending =
            migrate::is_pending(&mut connection).map_err(|error| Failure::new(error.to_string()))?;
        if pending {
            return Err(Failure::new("the database is not of this version: run `doorward migrate` first"));
        }
        Ok(connection)
    }

    /// A connection to whatever stands there.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn connect_to_any(&self) -> Result<Connection, Failure> {
        Database::connect(&self.url).map_err(|error| {
            let said = error.to_string();
            hopeless::find_advice(&said)
                .map_or_else(|| Failure::new(&said), |advice| Failure::new(refused(&said, advice.text)))
        })
    }

    /// PostgreSQL's client programs.
    ///
    /// # Errors
    /// When there are none.
    pub fn binaries(&self) -> Result<Binaries, Failure> {
        match &self.postgres {
            Some(postgres) => Ok(postgres.binaries().clone()),
            None => find_binaries(&search_path(), None).map_err(|error| Failure::new(error.to_string())),
        }
    }

    /// Stops what this process started.
    pub fn stop(self) {
        if let Some(postgres) = self.postgres {
            postgres.stop(STOP_DEADLINE);
        }
    }
}

/// Returns the line about a connection that is refused however often it is tried.
#[must_use]
pub fn refused(said: &str, advice: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{}: {advice}", lines.join("; "))
}

fn options(settings: &Settings) -> Result<Options, Failure> {
    let executable = executable().map_err(|error| Failure::new(format!("doorward's own file: {error}")))?;
    Ok(Options {
        data_dir: settings.data_dir.clone(),
        path: search_path(),
        executable,
        max_connections: settings.database_connections + SPARE_CONNECTIONS,
    })
}
